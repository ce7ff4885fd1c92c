"""Loads a folder of configuration: reads every file, checks all of it, and reports all that is wrong at once."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from include.config.checks import (
    check_audiences,
    check_channels,
    check_destinations,
    check_features,
    check_identity,
    check_models,
    check_placements,
    check_profile,
)
from include.config.columns import customer_columns as columns_of_contract
from include.config.document import Document, KeyPath, read_document
from include.config.errors import ConfigError, Problem, refusal, refusal_of
from include.config.schema import (
    AudiencesFile,
    ChannelsFile,
    Configuration,
    DestinationsFile,
    FeatureRule,
    FeaturesFile,
    IdentityRules,
    Model,
    Models,
    Named,
    Normalisation,
    Privacy,
    Profile,
    Publishing,
)
from include.config.sensitivity import check_sensitive_traits
from include.settings import DEFAULT_CONFIG

FILES: dict[str, type[Model]] = {
    "channels.yml": ChannelsFile,
    "identity.yml": IdentityRules,
    "audiences.yml": AudiencesFile,
    "models.yml": Models,
    "destinations.yml": DestinationsFile,
    "privacy.yml": Privacy,
    "normalisation.yml": Normalisation,
    "profile.yml": Profile,
    "features.yml": FeaturesFile,
    "publishing.yml": Publishing,
}
# Entries of these are objects with a name, which is their key in the file.
NAMED_ENTRIES = {"channels.yml": "channels", "identity.yml": "id_types"}
# pydantic's names of errors, in our words.
EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
}


def load_configuration(
    folder: Path, customer_columns: Mapping[str, str] | None = None, *, checked: str | None = None
) -> Configuration:
    """Load the configuration in `folder`; a file that it does not have is the project's default.

    `customer_columns` (name to DuckDB type) are what conditions of the cdp side may name; not given, they are those
    of the published contract. `checked` is the hash of a configuration that was loaded before: while the folder says
    the same, its conditions, patterns and maps are not tried again, which takes most of the time. Raises ConfigError
    with every problem of every file, one per line.
    """
    folder = Path(folder).resolve()
    _require_folder(folder)
    columns = dict(columns_of_contract() if customer_columns is None else customer_columns)
    documents = {file: _document(folder, file) for file in FILES}
    loaded: dict[str, Any] = {}
    problems: list[Problem] = _stray_files(folder)
    for file, document in documents.items():
        problems += document.problems
        if document.problems and document.data is None:
            continue
        document.data = {} if document.data is None else document.data
        loaded[file], found = _validated(FILES[file], file, document)
        problems += found
    if checked and not problems:
        configuration = _configuration(folder, loaded, columns)
        if configuration.hash == checked:
            return configuration
    problems += _disagreements(folder, documents, loaded, columns)
    if problems:
        order = {file: number for number, file in enumerate(FILES)}
        unique = dict.fromkeys(problems)
        raise ConfigError(sorted(unique, key=lambda problem: (order.get(problem.file, -1), problem.line)))
    return _configuration(folder, loaded, columns)


def _configuration(folder: Path, loaded: dict[str, Any], columns: dict[str, str]) -> Configuration:
    privacy: Privacy = loaded["privacy.yml"]
    features: dict[str, FeatureRule] = loaded["features.yml"].features
    default_features = _default_features()
    audiences: AudiencesFile = loaded["audiences.yml"]
    return Configuration(
        folder=folder,
        channels=loaded["channels.yml"].channels,
        identity=_with_common_rules(loaded["identity.yml"]),
        audiences=tuple(
            audience if audience.min_size else audience.model_copy(update={"min_size": privacy.minimum_cell})
            for audience in audiences.audiences
        ),
        traits=audiences.traits,
        trait_folders=audiences.folders,
        models=_within_what_is_kept(loaded["models.yml"], privacy),
        destinations=loaded["destinations.yml"].destinations,
        privacy=privacy,
        normalisation=loaded["normalisation.yml"],
        profile=_with_default_attributes(loaded["profile.yml"]),
        features=default_features | features,
        own_features=tuple(name for name in features if name not in default_features),
        customer_columns=columns,
        publishing=loaded["publishing.yml"],
    )


def _within_what_is_kept(models: Models, privacy: Privacy) -> Models:
    """The default window of placements, no longer than events are kept."""
    days = min(models.placements.window_days, privacy.event_days)
    placements = models.placements.model_copy(update={"window_days": days})
    return models.model_copy(update={"placements": placements})


def _with_default_attributes(profile: Profile) -> Profile:
    """The rules of every attribute: those that a file does not list are as in the project's default."""
    defaults = Profile.model_validate(_default_document("profile.yml").data).attributes
    return profile.model_copy(update={"attributes": defaults | profile.attributes})


def _default_features() -> dict[str, FeatureRule]:
    """The features that every company has; a company's own file adds to them."""
    return FeaturesFile.model_validate(_default_document("features.yml").data).features


def _with_common_rules(rules: IdentityRules) -> IdentityRules:
    """Every id type with the blocked values and patterns that count for all of them."""
    id_types = {
        name: id_type.model_copy(
            update={
                "blocked_values": tuple(dict.fromkeys(rules.blocked_values + id_type.blocked_values)),
                "blocked_patterns": tuple(dict.fromkeys(rules.blocked_patterns + id_type.blocked_patterns)),
            }
        )
        for name, id_type in rules.id_types.items()
    }
    return rules.model_copy(update={"id_types": id_types})


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise ConfigError(
            [Problem(str(folder), 1, "folder", f"found {found}, allowed: a folder of configuration")]
        )


def _document(folder: Path, file: str) -> Document:
    own = folder / file
    if folder != DEFAULT_CONFIG.resolve() and (own.exists() or own.is_symlink()):
        return read_document(own)
    return _default_document(file)


@lru_cache(maxsize=len(FILES))
def _default_document(file: str) -> Document:
    return read_document(DEFAULT_CONFIG / file)


def _stray_files(folder: Path) -> list[Problem]:
    """A file that nobody reads is most likely a misspelt one, whose place a default would take in silence."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
    return [
        Problem(name, 1, "file", refusal_of(name, FILES, "the file"))
        for name in names
        if name not in FILES and not name.startswith(".")
    ]


def _disagreements(
    folder: Path, documents: dict[str, Document], loaded: dict[str, Any], columns: Mapping[str, str]
) -> list[Problem]:
    usable = {file: document for file, document in documents.items() if isinstance(document.data, dict)}
    destinations = loaded.get("destinations.yml")
    problems: list[Problem] = []
    if document := usable.get("channels.yml"):
        problems += check_channels(document)
    if document := usable.get("identity.yml"):
        problems += check_identity(document)
    if (document := usable.get("profile.yml")) and (channels := loaded.get("channels.yml")):
        problems += check_profile(document, tuple(channels.channels))
    if (document := usable.get("features.yml")) and _is_own(document):
        problems += check_features(document, tuple(_default_features()), tuple(columns))
    if (document := usable.get("destinations.yml")) and (privacy := loaded.get("privacy.yml")):
        known = destinations.destinations if destinations else ()
        problems += check_destinations(document, privacy, known, folder)
    if document := usable.get("models.yml"):
        problems += check_models(document, columns)
        if _is_own(document) and (privacy := loaded.get("privacy.yml")):
            problems += check_placements(document, privacy.event_days)
    if document := usable.get("audiences.yml"):
        by_id = destinations and {item.destination_id: item for item in destinations.destinations}
        problems += check_audiences(document, columns, by_id, _own_features(usable))
        privacy, normalisation = loaded.get("privacy.yml"), loaded.get("normalisation.yml")
        if privacy and normalisation:
            problems += check_sensitive_traits(document, privacy, normalisation)
    return problems


def _own_features(documents: Mapping[str, Document]) -> tuple[str, ...]:
    """The features that the company's own file declares, right or wrong."""
    document = documents.get("features.yml")
    declared = document.data.get("features") if document and _is_own(document) else None
    return tuple(str(name) for name in declared) if isinstance(declared, dict) else ()


def _is_own(document: Document) -> bool:
    return document is not _default_document(document.file)


# From pydantic's errors to ours


def _validated(model: type[Model], file: str, document: Document) -> tuple[Model | None, list[Problem]]:
    if not isinstance(document.data, dict):
        return None, [
            document.problem((), refusal(document.data, f"a mapping with {', '.join(_keys(model))}"))
        ]
    data, problems = _with_names(document, NAMED_ENTRIES.get(file))
    try:
        return model.model_validate(data, by_alias=True, by_name=False), problems
    except ValidationError as error:
        return None, problems + [
            _translated(model, document, item) for item in error.errors(include_url=False)
        ]


def _with_names(document: Document, key: str | None) -> tuple[dict[str, Any], list[Problem]]:
    """The data with each entry under `key` told its own name."""
    entries = document.data.get(key) if key else None
    if not isinstance(entries, dict):
        return document.data, []
    problems = [
        document.problem((key, name, "name"), refusal("name", "no such key: the entry's key is its name"))
        for name, entry in entries.items()
        if isinstance(entry, dict) and "name" in entry
    ]
    named = {
        name: {**entry, "name": name} if isinstance(entry, dict) else entry for name, entry in entries.items()
    }
    return {**document.data, key: named}, problems


def _translated(model: type[Model], document: Document, error: Mapping[str, Any]) -> Problem:
    steps = tuple(part for part in error["loc"] if part != "[key]")
    path = _written(model, steps)
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "refused":
        message = context["message"]
    elif kind == "extra_forbidden":
        message = refusal_of(path[-1], _keys(_at(model, steps[:-1])[0]), "the key")
    elif kind == "missing":
        message = f"found nothing, allowed: {_expected(_at(model, steps)[1])}"
    elif kind == "union_tag_invalid":
        path = (*path, context["discriminator"].strip("'"))
        message = refusal_of(context["tag"], re.findall(r"'([^']*)'", context["expected_tags"]))
    elif kind == "literal_error":
        message = refusal_of(found, re.findall(r"'([^']*)'", context["expected"]))
    elif kind in EXPECTED:
        message = refusal(found, EXPECTED[kind].format(**context))
    else:
        message = refusal(found, error["msg"])
    return document.problem(path, message)


def _keys(model: Any) -> list[str]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    hidden = {"name"} if issubclass(model, Named) else set()
    return [field.alias or name for name, field in model.model_fields.items() if name not in hidden]


def _expected(field: FieldInfo | None) -> str:
    annotation = _plain(field.annotation) if field else None
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    return (field.description if field else None) or "a value, the key is required"


def _at(model: type[Model], steps: Iterable[str | int]) -> tuple[Any, FieldInfo | None]:
    """The type, and the field if it is one, that the steps of one of pydantic's errors lead to."""
    annotation: Any = model
    field = None
    for step in steps:
        annotation = _plain(annotation)
        if _is_choice(annotation):
            annotation, field = _choice(annotation, step), None
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {item.alias or name: item for name, item in annotation.model_fields.items()}
            field = fields.get(str(step))
            annotation = field.annotation if field else None
        else:
            arguments = [item for item in get_args(annotation) if item is not Ellipsis]
            annotation, field = (arguments[-1] if arguments else None), None
    return _plain(annotation), field


def _written(model: type[Model], steps: tuple[str | int, ...]) -> KeyPath:
    """The keys as the file has them: pydantic puts in which of several mappings it took."""
    return tuple(step for number, step in enumerate(steps) if not _is_choice(_at(model, steps[:number])[0]))


def _is_choice(annotation: Any) -> bool:
    """Whether one of several mappings may stand here, told apart by one of their keys."""
    return get_origin(annotation) in (Union, types.UnionType)


def _choice(annotation: Any, tag: str | int) -> Any:
    """The mapping that has `tag` as the only value of one of its keys."""
    members = [
        member
        for member in get_args(annotation)
        if any(get_args(field.annotation) == (tag,) for field in member.model_fields.values())
    ]
    return members[0] if members else None


def _plain(annotation: Any) -> Any:
    """The type inside `Annotated[…]` and `… | None`; a choice of several mappings as it is."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if _is_choice(annotation):
        others = [item for item in get_args(annotation) if item is not type(None)]
        is_choice = len(others) > 1 and all(
            isinstance(item, type) and issubclass(item, BaseModel) for item in others
        )
        return annotation if is_choice else _plain(others[-1])
    return annotation
