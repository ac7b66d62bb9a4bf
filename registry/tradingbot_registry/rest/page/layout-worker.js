import { layout } from "./layout.js";

onmessage = ({ data }) => postMessage(layout(data.nodes, data.edges));
