"""The endpoint's description for programs, as OpenAPI 3.1."""

from vivit_jax.preprocess import Views
from vivit_jax.serving.limits import MEGABYTE, ServingLimits

VERSION = "1"  # of the endpoint; another one where a program that knew the last would be misled
RANKING = {"type": "array", "items": {"$ref": "#/components/schemas/Score"}}


def document(limits: ServingLimits, views: Views, *, token: bool) -> dict:
    """The OpenAPI document of a server.

    Args:
      limits: what its requests may cost.
      views: its default.
      token: whether a request must carry one.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vivit serve",
            "version": VERSION,
            "description": "Video classification. Every error is a JSON object whose `error` says in one line what is wrong.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/predict": {"post": _predict(limits, views)},
            "/api/models": {
                "get": {
                    "operationId": "models",
                    "summary": "The models that are served",
                    "responses": {
                        "200": _json("The models, in the order in which they answer", {"type": "array", "items": _schema("Model")})
                    },
                }
            },
            "/healthz": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the server works; needs no token",
                    "security": [],
                    "responses": {
                        "200": _json(
                            "It does", {"type": "object", "properties": {"status": {"const": "ok"}, "requests": {"type": "integer"}}}
                        )
                    },
                }
            },
        },
        "components": {"schemas": SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}] if token else [],
    }


def _predict(limits: ServingLimits, views: Views) -> dict:
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary", "description": "mp4, webm, mkv, mov, avi, gif and others"}},
    }
    problems = {
        "400": "A parameter or the form is wrong",
        "401": "The token is missing or wrong",
        "403": "A browser asks for a page of another site",
        "408": "The upload stopped coming",
        "413": f"The upload is larger than {limits.upload_bytes / MEGABYTE:g} MB",
        "415": "The body is not a form",
        "507": "The server's disk is full",
        "422": "The file cannot be read as a video, or takes too much to read",
    }
    full = _json("The queue is full", _schema("Error")) | {
        "headers": {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
    }
    return {
        "operationId": "predict",
        "summary": "The most probable classes of a video",
        "parameters": [
            _query("top_k", "classes of each ranking", {"type": "integer", "minimum": 1, "default": 5}),
            _query(
                "views",
                f"temporal clips x spatial crops whose logits are averaged; at most {limits.views} in all",
                {"type": "string", "pattern": "^[1-9][0-9]*x[1-9][0-9]*$", "default": f"{views[0]}x{views[1]}"},
            ),
            _query("model", "the name of a model; may be repeated; all if left out", {"type": "array", "items": {"type": "string"}}),
            _query("details", "also the clip, the evidence in it, and the score along the video", {"type": "boolean", "default": False}),
            _query("label", "the class whose evidence is shown; each model's most probable one if left out", {"type": "string"}),
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {
            "200": _json("What the models say", _schema("Answer")),
            **{code: _json(meaning, _schema("Error")) for code, meaning in problems.items()},
            "503": full,
        },
    }


def _object(required: str, **properties: dict) -> dict:
    return {"type": "object", "required": required.split(), "properties": properties}


def _numbers(meaning: str) -> dict:
    return {"type": "array", "items": {"type": "number"}, "description": meaning}


def _schema(name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(meaning: str, schema: dict) -> dict:
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


def _query(name: str, meaning: str, schema: dict) -> dict:
    return {"name": name, "in": "query", "required": False, "description": meaning, "schema": schema}


TEXT, NUMBER, COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer"}

SCHEMAS = {
    "Error": _object("error", error=TEXT),
    "Score": _object("label probability", label=TEXT, probability={"type": "number", "minimum": 0, "maximum": 1}),
    "Model": _object(
        "name family description parameters clip labels multi_label",
        name=TEXT,
        family=TEXT,
        description=TEXT,
        parameters=COUNT,
        clip=_object(
            "frames stride rate height width",
            frames=COUNT,
            stride={"oneOf": [COUNT, {"type": "null"}], "description": "frames of the video from one to the next"},
            rate={"oneOf": [NUMBER, {"type": "null"}], "description": "frames a second; this and stride are null for segments"},
            height=COUNT,
            width=COUNT,
        ),
        labels={"description": "class names in the order of the logits; by head for several heads"},
        multi_label={"type": "boolean"},
    ),
    "Answer": _object(
        "video views results",
        video=_object("name frames seconds width height", name=TEXT, frames=COUNT, seconds=NUMBER, width=COUNT, height=COUNT),
        views={"type": "array", "items": COUNT, "minItems": 2, "maxItems": 2},
        results={"type": "array", "items": _schema("Result")},
    ),
    "Result": _object(
        "model predictions seconds",
        model=TEXT,
        predictions={"oneOf": [RANKING, {"type": "object", "additionalProperties": RANKING}], "description": "by head for several heads"},
        seconds={"type": "number", "description": "what the answer took to make"},
        clip=_schema("Clip"),
        evidence=_schema("Evidence"),
        along={"oneOf": [_schema("Along"), {"type": "null"}], "description": "null for a video no longer than a clip"},
    ),
    "Clip": _object(
        "picture frames columns width height times",
        picture={"type": "string", "description": "the frames that the model saw, side by side, as a data address"},
        frames=COUNT,
        columns={"type": "integer", "description": "frames in a row of the picture"},
        width=COUNT,
        height=COUNT,
        times=_numbers("seconds of each frame in the video"),
    ),
    "Evidence": _object(
        "label probability score blank full_colour times shape tokens",
        label=TEXT,
        probability={"type": "number", "description": "of the label, for this clip alone"},
        score={"type": "number", "description": "the label's log-odds"},
        blank={"type": "number", "description": "its log-odds for a blank clip"},
        full_colour={
            "oneOf": [NUMBER, {"type": "null"}],
            "description": "what a token of full colour adds; null where the clip does not speak for the label",
        },
        times=_numbers("the clip's frame at the centre of each token in time"),
        shape={"type": "array", "items": COUNT, "description": "tokens along time, height and width"},
        tokens=_numbers("what each token adds to the log-odds by integrated gradients; they add up to about score - blank"),
    ),
    "Along": _object(
        "starts ends curves",
        starts=_numbers("seconds at which each clip begins"),
        ends=_numbers("seconds of its last frame"),
        curves={"type": "array", "items": _object("label probabilities", label=TEXT, probabilities=_numbers("of each clip"))},
    ),
}
