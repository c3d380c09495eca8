"""JSON schemas of what any model takes and gives, by protocol: what the description says where it knows no more.

Beside openapi.py, which adds the schemas of single models.
"""

from typing import Any, Final, NamedTuple

from model_manager.signature import DTYPES

SCHEMAS: Final[dict[str, Any]] = {
    "Label": {
        "type": "object",
        "required": ["id", "label"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "label": {"type": ["string", "number", "boolean"]},
            "row": {"type": "integer", "minimum": 0, "default": 0},
        },
    },
    "Labels": {
        "anyOf": [
            {"$ref": "#/components/schemas/Label"},
            {
                "type": "object",
                "required": ["labels"],
                "properties": {"labels": {"type": "array", "items": {"$ref": "#/components/schemas/Label"}}},
            },
        ]
    },
    "LabelsTaken": {
        "type": "object",
        "required": ["counts", "unanswered", "labels"],
        "properties": {
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "unanswered": {"type": "integer", "minimum": 0},
            "labels": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "row", "status"],
                    "properties": {
                        "id": {"type": "string"},
                        "row": {"type": "integer"},
                        "status": {"type": "string"},
                    },
                },
            },
        },
    },
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "V1Request": {
        "type": "object",
        "description": "Rows as `instances`, or columns as `inputs`.",
        "oneOf": [
            {"required": ["instances"], "properties": {"instances": {"type": "array", "minItems": 1}}},
            {
                "required": ["inputs"],
                "properties": {"inputs": {"type": ["array", "object"], "minItems": 1, "minProperties": 1}},
            },
        ],
    },
    "V1Answer": {
        "type": "object",
        "properties": {"predictions": {"type": "array"}, "outputs": {}},
        "minProperties": 1,
    },
    "V2Tensor": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": [*DTYPES]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "data": {},
            "parameters": {"type": ["object", "null"]},
        },
    },
    "V2Request": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/V2Tensor"}},
            "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"]}},
            "parameters": {"type": ["object", "null"]},
        },
    },
    "V2Answer": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/V2Tensor"}},
        },
    },
    "V1Examples": {
        "type": "object",
        "description": "Objects of features by name, each a value or a list of one; `context` holds what all share.",
        "required": ["examples"],
        "properties": {
            "signature_name": {"type": ["string", "null"]},
            "context": {"type": "object"},
            "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
    },
    "Explanations": {
        "type": "object",
        "required": ["predictions", "explanations", "explained"],
        "properties": {
            "predictions": {"type": "array"},
            "explanations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "`base`, the contributions and `others`, if any, add up to `answer`.",
                    "required": ["base", "contributions", "answer"],
                    "properties": {
                        "class": {},
                        "base": {"type": "number"},
                        "contributions": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["column", "value", "contribution"],
                                "properties": {
                                    "column": {"type": "string"},
                                    "value": {},
                                    "contribution": {"type": "number"},
                                },
                            },
                        },
                        "others": {"type": "number"},
                        "answer": {"type": "number"},
                        "text": {"type": "array", "items": {"type": "string"}},
                    },
                },
            },
            "explained": {
                "type": "object",
                "required": ["output", "unit", "method"],
                "properties": {name: {"type": "string"} for name in ("output", "unit", "method")},
            },
        },
    },
    "V1Result": {"type": "object", "required": ["result"], "properties": {"result": {"type": "array"}}},
    "MLflowRequest": {
        "type": "object",
        "description": "A frame or rows, under one of four names.",
        "properties": {"params": {"type": ["object", "null"]}},
        "oneOf": [
            {
                "required": ["dataframe_split"],
                "properties": {
                    "dataframe_split": {
                        "type": "object",
                        "required": ["data"],
                        "properties": {
                            "columns": {"type": "array"},
                            "index": {"type": "array"},
                            "data": {"type": "array", "minItems": 1, "items": {"type": "array"}},
                        },
                    }
                },
            },
            {
                "required": ["dataframe_records"],
                "properties": {"dataframe_records": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
            },
            {"required": ["instances"], "properties": {"instances": {"type": "array", "minItems": 1}}},
            {"required": ["inputs"], "properties": {"inputs": {"type": ["array", "object"]}}},
        ],
    },
    "MLflowAnswer": {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array"}},
    },
    "RepositoryIndexRequest": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
    "RepositoryIndex": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "state", "reason"],
            "properties": {name: {"type": "string"} for name in ("name", "version", "state", "reason")},
        },
    },
}
"""What is said of every model alike."""


class Body(NamedTuple):
    """What a POST takes and gives: names of schemas; whether a body has to be there."""

    summary: str
    request: str
    answer: str
    required: bool = True


BODIES: Final = {
    ":explain": Body("Predict, and say which column moved each answer by how much", "V1Request", "Explanations"),
    ":feedback": Body("What was true of rows that were answered", "Labels", "LabelsTaken"),
    ":predict": Body("Predict, by V1", "V1Request", "V1Answer"),
    ":classify": Body("A score for each class, by V1", "V1Examples", "V1Result"),
    ":regress": Body("One number for each example, by V1", "V1Examples", "V1Result"),
    "/infer": Body("Predict, by V2", "V2Request", "V2Answer"),
    "/invocations": Body("Predict, as MLflow's scoring server", "MLflowRequest", "MLflowAnswer"),
    "/index": Body("Every version and its state", "RepositoryIndexRequest", "RepositoryIndex", required=False),
}
"""By how a path ends."""
