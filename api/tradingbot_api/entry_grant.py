"""The right of one gateway to let entries through: what the operator writes on a bot's pod.

Two pods of a bot can live at once, as on a drained or a lost node, and each has a gateway with
books of its own. So the operator grants entries to one pod at a time, for a limited time, in an
annotation of the pod, which the kubelet puts into a file of the gateway. No clock of one machine is
compared with that of another:

    gateway    says what time it is on its node: a `Moment`
    operator   writes the moment back, with the seconds that the grant lasts from then
    gateway    lets entries through until then, by the clock of its node
    operator   grants entries to another pod that many seconds after it has read the moment

The gateway named the moment before the operator read it, so it ends first.
"""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ANNOTATION = "trading.io/entries"
"""The annotation of a pod with the grant, as JSON."""
MOMENT_PATH = "/moment"
"""Where a gateway says what time it is on its node, beside `/risk`."""
LONGEST_GRANT = 1024
"""Characters; a longer text is not a grant."""
MOST_SECONDS = 3600
"""The longest duration of a grant."""
MARGIN_SECONDS = 15
"""How much later than the end of a grant another pod gets one: an entry that was sent in the last
moment may arrive at the exchange for 5 seconds, and clocks differ a little in speed."""


class Moment(NamedTuple):
    """A moment on one node. It can be compared only with another one of the same boot."""

    boot: str
    """Identifies the boot of the node."""
    elapsed: int
    """Milliseconds since then, with those in which the node was suspended."""
    wall: int
    """Milliseconds since the epoch by the clock of the node, which may be wrong, or set."""

    def text(self) -> str:
        """Return the moment as it is in a grant."""
        return f"{self.boot}/{self.elapsed}/{self.wall}"

    @classmethod
    def read(cls, text: str) -> "Moment | None":
        """Return the moment of a text, None if it is none."""
        parts = text.split("/")
        if len(parts) != len(cls._fields) or not all(part.isdecimal() for part in parts[1:]):
            return None
        boot, elapsed, wall = parts
        return cls(boot, int(elapsed), int(wall))

    def seconds_since(self, other: "Moment") -> float | None:
        """Return the seconds since an earlier moment of this boot, by the clock that says more.

        The time since the boot stands still while a virtual machine is paused, and the wall clock
        may be set back; None if `other` is of another boot, or later.
        """
        if self.boot != other.boot or other.elapsed > self.elapsed:
            return None
        return max(self.elapsed - other.elapsed, self.wall - other.wall) / 1000


class EntryGrant(BaseModel):
    """What the operator says to the gateway of one pod."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    pod: str = Field(description="UID of the pod that the grant is for.")
    withdrawn: str | None = Field(
        None, description="Why no entries may pass any more, such as Paused; null if they may."
    )
    moment: str | None = Field(
        None, description="The moment on the pod's node from which the grant lasts; null in Paper."
    )
    seconds: int | None = Field(
        None, description="How long the grant lasts; null in Paper, where it has no end."
    )
    config_hash: str = Field(
        alias="configHash",
        description="configHash of the bot.json by which entries are judged. Until the gateway has"
        " read it, none passes.",
    )

    @classmethod
    def read(cls, text: str) -> "EntryGrant | None":
        """Return the grant in the text of an annotation, None if there is none."""
        if not text or len(text) > LONGEST_GRANT:
            return None
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def text(self) -> str:
        """Return the text of the annotation."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class GatewayMoment(BaseModel):
    """The answer of a gateway to `GET /moment`."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    moment: str = Field(max_length=128)
    config_hash: str = Field(alias="configHash", max_length=64)
    """Of the bot.json that it has read."""
