"""Who is answered: by token, Host and Origin; and what the page may load."""

import pathlib
import re

import pytest
from client import serving

import vivit_jax.serving
from vivit_jax.errors import UserError
from vivit_jax.serving.access import Access
from vivit_jax.serving.server import access_for, link

STATIC = pathlib.Path(vivit_jax.serving.__file__).parent / "static"
TOKEN = "right-token"


@pytest.fixture(scope="module")
def with_token(models):
    with serving(models, access=Access(local=False, token=TOKEN)) as client:
        yield client


def test_without_the_token_nothing_is_answered(with_token, video):
    for path in ("/", "/static/page.js", "/api/models", "/api/openapi.json", "/examples/right.mp4"):
        answer = with_token.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert re.match("a token is needed", with_token.predict(video).error)
    assert with_token.predict(video, headers={"Authorization": "Bearer wrong"}).status == 401
    assert with_token.get("/?token=wrong").status == 401
    assert with_token.get("/healthz").status == 200
    assert with_token.predict(video, "model=token", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200


def test_the_link_becomes_a_cookie(with_token):
    answer = with_token.get(f"/?token={TOKEN}&example=1")
    assert (answer.status, answer.headers["Location"]) == (303, "./?example=1")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert with_token.get("/api/models", headers={"Cookie": cookie.partition(";")[0]}).status == 200


def test_a_local_server_answers_under_its_own_names_alone(server):
    """A site whose name resolves to 127.0.0.1 sends its own name as Host (DNS rebinding)."""
    for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        assert server.get("/api/models", host=host).status == 200
    for host in ("evil.example", "localhost.evil.example", "0.0.0.0", "[::1", ""):
        assert server.get("/api/models", host=host).status == 421


def test_pages_of_other_sites_are_not_answered(server, video):
    own, other = {"Origin": f"http://localhost:{server.port}"}, {"Origin": "https://evil.example"}
    assert server.predict(video, "model=token", headers=own).status == 200
    assert server.predict(video, "model=token", headers=other).status == 403
    assert server.predict(video, "model=token", headers={"Origin": "null"}).status == 403


def test_who_needs_a_token():
    assert access_for("127.0.0.1", None, False) == Access()
    assert access_for("127.0.0.1", "own", False) == Access(token="own")
    made_up = access_for("0.0.0.0", None, False)
    assert not made_up.local and len(made_up.token) >= 32
    assert made_up.token != access_for("0.0.0.0", None, False).token
    assert link("192.0.2.1", 8000, "abc") == "http://192.0.2.1:8000/?token=abc"
    assert link("192.0.2.1", 8000, "a+b&c") == "http://192.0.2.1:8000/?token=a%2Bb%26c"
    assert access_for("0.0.0.0", None, True) == access_for("0.0.0.0", "", True) == Access(local=False, public=True)
    for token in ("two words", "ключ"):
        with pytest.raises(UserError, match="ASCII"):
            access_for("127.0.0.1", token, False)
    with pytest.raises(UserError, match="--public"):
        access_for("0.0.0.0", "own", True)
    with pytest.raises(UserError, match="token"):
        access_for("0.0.0.0", "", False)


def test_the_page_loads_nothing_from_elsewhere(server):
    page = server.get("/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    names = {path.name for path in STATIC.iterdir()}
    for path in STATIC.iterdir():
        text = path.read_text()
        assert not re.findall(r"https?:|[\"'(]//", text), path.name
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), path.name
        for loaded in re.findall(r"(?:from|href=|src=) ?\"(?:\./|static/)([^\"]+)\"", text):
            assert loaded in names
        assert server.get(f"/static/{path.name}").body == path.read_bytes()
    assert not re.findall(r" style=|<script>| on\w+=", page.body.decode())  # which the policy would not run


def test_a_mistake_of_the_server_is_answered_under_the_same_headers():
    with serving([None]) as server:  # a model that cannot be described
        answer = server.get("/api/models")
    assert (answer.status, answer.error) == (500, "the server made a mistake; its terminal says which")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_openapi_document_describes_what_is_there(server, video):
    document = server.get("/api/openapi.json").json
    assert document["openapi"].startswith("3.1") and document["security"] == []
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method in operations:
            assert server.ask(method.upper(), path).status != 404
    check(server.get("/api/models").json[0], schemas["Model"], schemas)
    check(server.predict(video, "details=true&model=token").json, schemas["Answer"], schemas)
    check(server.predict(b"", "details=true").json, schemas["Error"], schemas)


def check(value, schema, schemas):
    """That a value is as the schema says, and holds nothing that it does not mention."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "oneOf" in schema:
        return None if value is None and {"type": "null"} in schema["oneOf"] else check(value, schema["oneOf"][0], schemas)
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), (value, schema)
    if schema.get("type") == "object":
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for name, part in value.items():
            check(part, schema["properties"][name], schemas)
    if schema.get("type") == "array":
        for part in value:
            check(part, schema["items"], schemas)
    return None
