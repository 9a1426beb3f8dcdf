"""A stand-in of the Hugging Face hub: the parts of its HTTP API by which a repository is made, committed to and read, over a folder."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import threading
import urllib.parse

TOKEN = "hf_of_the_test"
LARGE = ".safetensors"  # what the hub keeps in large file storage


class Hub(http.server.ThreadingHTTPServer):
    """Repositories by name: whether each is private, and its commits by branch, each with its message and files."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.objects, self.asked = {}, {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self, name, branch="main"):
        return self.repositories[name]["branches"][branch][-1]["files"]

    def publish(self, name, folder):
        """Makes a public repository of a folder's files."""
        files = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}
        self.repositories[name] = {"private": False, "branches": {"main": [{"files": files, "message": "initial commit"}]}}


def environment(home, url, token=TOKEN):
    """The environment of a process whose hub this is, and whose downloads lie in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name.lower()}
    told = {"HF_ENDPOINT": url, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return kept | told | ({"HF_TOKEN": token} if token else {})


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _answer(self, code, value=b"", **headers):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        for name, text in {"Content-Length": str(len(body)), **{key.replace("_", "-"): text for key, text in headers.items()}}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refused(self):
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        self._answer(401, {"error": "Invalid username or password."})
        return True

    def do_POST(self):
        body, path = self._body(), urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        self.server.asked.append(path)
        if self._refused():
            return
        if path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            known = name in self.server.repositories
            first = {"files": {}, "message": "initial commit"}
            self.server.repositories.setdefault(
                name, {"private": asked.get("private") or asked.get("visibility") == "private", "branches": {"main": [first]}}
            )
            self._answer(409 if known else 200, {"url": f"{self.server.url}/{name}", "name": name})
        elif match := re.fullmatch(r"/api/models/(.+/.+)/branch/(.+)", path):
            name, branch = match.groups()
            branches = self.server.repositories[name]["branches"]
            known = branch in branches
            branches.setdefault(branch, list(branches["main"]))
            self._answer(409 if known else 200, {})
        elif re.fullmatch(r"/api/models/(.+/.+)/preupload/(.+)", path):
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "lfs" if name.endswith(LARGE) else "regular", "shouldIgnore": False} for name in names]
            self._answer(200, {"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            asked = json.loads(body)["objects"]
            uploads = [{**of, "actions": {"upload": {"href": f"{self.server.url}/objects/{of['oid']}"}}} for of in asked]
            self._answer(200, {"transfer": "basic", "objects": uploads})
        elif match := re.fullmatch(r"/api/models/(.+/.+)/commit/(.+)", path):
            self._commit(*match.groups(), body)
        else:
            self._answer(404, {"error": path})

    def _commit(self, name, branch, body):
        lines = [json.loads(line) for line in body.splitlines()]
        commits = self.server.repositories[name]["branches"][branch]
        files = dict(commits[-1]["files"])
        for line in lines[1:]:
            value = line["value"]
            large = line["key"] == "lfsFile"
            files[value["path"]] = self.server.objects[value["oid"]] if large else base64.b64decode(value["content"])
        commits.append({"files": files, "message": lines[0]["value"]["summary"]})
        number = f"{len(commits):040x}"
        self._answer(200, {"commitUrl": f"{self.server.url}/{name}/commit/{number}", "commitOid": number})

    def do_PUT(self):
        content, oid = self._body(), self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.objects[oid] = content
        self._answer(200)

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        self.server.asked.append(path)
        if path == "/":
            self._answer(200)
            return
        # Clients before huggingface_hub 1 ask for a branch before they commit to it.
        if (match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path)) and match[1] in self.server.repositories:
            self._answer(200, {"id": match[1], "private": self.server.repositories[match[1]]["private"], "siblings": [], "tags": []})
            return
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match is None:
            self._answer(404, {"error": path})
            return
        name, revision, file = match.groups()
        repository = self.server.repositories.get(name)
        if repository is None or (repository["private"] and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self._answer(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository Not Found")
            return
        commits = repository["branches"].get(revision) or repository["branches"]["main"]
        files = commits[-1]["files"]
        commit = f"{len(commits):040x}"
        if file not in files:
            self._answer(404, X_Repo_Commit=commit, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        else:
            self._answer(200, files[file], X_Repo_Commit=commit, ETag=f'"{hashlib.sha256(files[file]).hexdigest()}"')

    do_HEAD = do_GET  # noqa: N815
