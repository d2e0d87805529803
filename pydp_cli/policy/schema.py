"""The JSON Schema of the policy file, for editors that complete and check it."""

from __future__ import annotations

from typing import Any

from pydp_cli.policy.condition_syntax import MAX_LENGTH
from pydp_cli.policy.model import DECIDE, Policy
from pydp_cli.transforms.registry import TransformOptions, transforms
from pydp_cli.transforms.treatment import WHEN

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_json_schema() -> Schema:
    """Give the schema of the whole policy file, every transform and its short forms included."""
    schema = Policy.model_json_schema()
    definitions: Schema = schema["$defs"]
    mapping = definitions.pop("ColumnPolicy")
    del mapping["properties"][DECIDE]
    mapping["properties"]["anonymize"] = {
        "anyOf": [_ref("Treatment"), {"const": DECIDE}],
        "description": "The treatment of `pydp anonymize`.",
    }
    mapping["properties"]["encrypt"] = {
        "anyOf": [{"enum": [True, "random", "deterministic", "fpe"]}, _ref("EncryptSpec")],
        "description": "The treatment of `pydp encrypt`.",
    }
    definitions["ColumnMapping"] = mapping
    definitions["ColumnPolicy"] = {"anyOf": [{"const": DECIDE}, _ref("Treatment"), _ref("ColumnMapping")]}
    definitions["Treatment"] = {"anyOf": [_ref("Step"), {"type": "array", "items": _ref("Step"), "minItems": 1}]}
    definitions["Step"] = {"anyOf": [*_bare_words(), *(_ref(f"Step {name}") for name in transforms())]}
    for name, model in transforms().items():
        definitions[f"Step {name}"] = _step(name, model, definitions)
    _short_forms(definitions)
    return {"$schema": DIALECT, **schema, "title": "A policy of pydp"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name.replace(' ', '%20')}"}


def _bare_words() -> list[Schema]:
    words = [name for name, model in transforms().items() if not _required(model)]
    return [{"enum": words, "description": "A transform without options."}, {"type": "null"}]


def _required(model: type[TransformOptions]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def _step(name: str, model: type[TransformOptions], definitions: Schema) -> Schema:
    options = model.model_json_schema(ref_template=f"#/$defs/{name}%20{{model}}")
    for key, definition in options.pop("$defs", {}).items():
        definitions[f"{name} {key}"] = definition
    forms = [{**options, "description": (model.__doc__ or "").split("\n\n")[0]}]
    main = model.info.main_option
    if main is not None and not set(_required(model)) - {model.model_fields[main].alias or main}:
        forms.append(options["properties"][model.model_fields[main].alias or main])
    return {
        "type": "object",
        "properties": {
            name: {"anyOf": forms},
            WHEN: {"type": "string", "maxLength": MAX_LENGTH, "description": "A condition on the rows treated."},
        },
        "required": [name],
        "additionalProperties": False,
    }


def _short_forms(definitions: Schema) -> None:
    """Add the forms that the models accept besides their own."""
    rule = {"anyOf": [{"type": "string"}, {"type": "object", "maxProperties": 1}]}
    rules = definitions["Identity"]["properties"]["normalize"]
    definitions["Identity"]["properties"]["normalize"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": rule}],
        "description": rules.get("description", ""),
    }
    dataset = definitions["DatasetPolicy"]["properties"]
    link = {
        "type": "object",
        "properties": {"column": {"type": "string"}, "to": {"type": "string"}},
        "required": ["column", "to"],
        "additionalProperties": False,
    }
    dataset["links"] = {"anyOf": [dataset["links"], {"type": "array", "items": link}]}
    dataset["erase"]["anyOf"].append({"type": "string"})
    encrypt = definitions["EncryptSpec"]["properties"]
    encrypt["fpe"]["anyOf"].append({"const": True})
    keys = definitions["Rotation"]["properties"]["keys"]
    keys["additionalProperties"] = {"anyOf": [keys["additionalProperties"], {"type": "string"}]}
