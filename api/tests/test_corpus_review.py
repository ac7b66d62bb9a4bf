"""Every row of the contract: what `review` says of the corpus, word for word."""

import pytest
from admission_cases import BOT, BOUNDS, CASES, NOW, REGISTRY, Case, changed
from tradingbot_api.admission.review import defaulted, is_well_formed, review


def words(findings: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(str(finding) for finding in findings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_and_its_words_are_those_of_the_corpus(case: Case) -> None:
    verdict = review(case.kind, defaulted(case.kind, case.manifest), now=NOW)

    assert words(verdict.errors) == case.errors
    assert words(verdict.warnings) == case.warnings
    assert verdict.allowed == (case.refused_by is None)


@pytest.mark.parametrize("case", BOUNDS, ids=lambda case: case.name)
def test_a_value_at_a_bound_is_allowed_and_one_past_it_is_not(case: Case) -> None:
    verdict = review(case.kind, defaulted(case.kind, case.manifest), now=NOW)

    assert verdict.allowed == (case.refused_by is None), words(verdict.errors)


@pytest.mark.parametrize(
    ("base", "path", "value", "message"),
    [
        (BOT, "spec.strategy.image", "b" * 513, "Too long: may not be more than 512 characters"),
        (
            BOT,
            "spec.strategy.image",
            "b" * 256,
            f'Invalid value: "{"b" * 64}...": has a repository name of more than 255 characters',
        ),
        (
            BOT,
            "spec.strategy.parameters",
            {f"p{n}": "" for n in range(65)},
            "Too many: 65: must have at most 64 items",
        ),
        (
            BOT,
            "spec.schedule.windows",
            [{"start": "09:00", "end": "10:00"}] * 51,
            "Too many: 51: must have at most 50 items",
        ),
        (
            REGISTRY,
            "spec.assets.0.config",
            {"a": "ü" * 8189},
            'Invalid value: "object": must be at most 16384 bytes as JSON, is 16386',
        ),
        (
            REGISTRY,
            "spec.assets.0.dependsOn",
            ["a"] * 501,
            "Too many: 501: must have at most 500 items",
        ),
    ],
)
def test_what_is_too_big_is_said_with_the_bound(
    base: dict[str, object], path: str, value: object, message: str
) -> None:
    obj = changed(base, {path: value})

    verdict = review(str(base["kind"]), defaulted(str(base["kind"]), obj), now=NOW)

    field = path.replace(".0.", "[0].")
    assert words(verdict.errors) == (f"{field}: {message}",)


def test_the_names_of_the_corpus_are_unique() -> None:
    names = [case.name for case in (*CASES, *BOUNDS)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_schema_refuses_is_told_apart(case: Case) -> None:
    """The mutating webhook denies it with all mistakes; the API server stops at the first ones."""
    obj = defaulted(case.kind, case.manifest)

    malformed = review(case.kind, obj, now=NOW).malformed

    assert malformed or case.refused_by != "schema"
    assert is_well_formed(case.kind, obj) != malformed
