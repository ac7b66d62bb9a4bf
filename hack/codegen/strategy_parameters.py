"""Generate the tables of parameters in docs/strategies.md from the models in api/."""

from collections.abc import Iterator

from tradingbot_api.strategies import PARAMETERS_OF, Parameters, defaults_of
from tradingbot_api.strategies.parameters import forms_of

BEGIN = "<!-- Generated from the models in api/ by `make generate`; do not edit from here -->\n"
END = "<!-- to here -->\n"


def with_parameters(page: str) -> str:
    """Return the page with the part between the two marks replaced. Raises ValueError if a mark is
    missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("docs/strategies.md lacks a mark of its generated part")
    tables = "\n".join(
        line for name, model in PARAMETERS_OF.items() for line in _table(name, model)
    )
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def _table(strategy_type: str, model: type[Parameters]) -> Iterator[str]:
    """Yield the lines of one strategy: what it is, its parameters, the rules between them."""
    defaults = defaults_of(model)
    yield f"### {strategy_type}"
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| parameter | type | default | accepted | description |"
    yield "|---|---|---|---|---|"
    for (name, form), info in zip(
        forms_of(model).items(), model.model_fields.values(), strict=True
    ):
        default = defaults[name]
        if default is not None:
            shown = f'`"{default}"`'
        else:
            shown = "**required**" if info.is_required() else "unset"
        cells = [f"`{name}`", form.name, shown, form.bounds, info.description or ""]
        yield f"| {' | '.join(cells)} |"
    yield ""
    for rule in model.cross_rules:
        named = {name: f"`{name}`" for name in rule.reads}
        yield f"- `{rule.parameter}` {rule.statement.format(**named)}."
    if model.cross_rules:
        yield ""
