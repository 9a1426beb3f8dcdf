"""Lists of videos that are nearly right: clips come of them, or the one documented error."""

import films
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import CHANGES, examples, mutated

from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.errors import UserError

COLUMNS = st.sampled_from(
    ["path", "file", "label", "labels", "split", "start", "end", "time_start", "start_frame", "group", "Path", "", "x"]
)
CELLS = (
    st.sampled_from(
        ["a.mp4", "b/c.mp4", "./a.mp4", "../a.mp4", "/etc/passwd", "run", "sit", "run;sit", "train", "val", "test", "", " ", '"']
    )
    | st.sampled_from(["0", "-1", "1.5", "1,5", "1e400", "nan", "00:01", "1:99", "\0", "\u202e", "b\\c.mp4", "x" * 140_000])
    | st.text(max_size=8)
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-32"])
WHOLE = b"path,label,split,start,end\na.mp4,run,train,0,1\nb/c.mp4,sit,train,0:00,00:00:01.5\nb/c.mp4,sit,test,1.5,2\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("lists")
    (root / "b").mkdir()
    for seed, name in enumerate(("a.mp4", "b/c.mp4")):
        films.write(root / name, films.scene(6, 16, 16, seed))
    return root


def read(folder, content):
    (folder / "list.csv").write_bytes(content)
    try:
        found = read_layout("csv", folder / "list.csv", Reading())
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.clips
        assert len({clip.name for clip in found.clips}) == len(found.clips)
        assert {clip.source.resolve() for clip in found.clips} <= {path.resolve() for path in folder.rglob("*.mp4")} | {
            (folder / "/etc/passwd").resolve()
        }


@pytest.mark.fault(
    promise="A list that is nearly right gives clips or one line",
    provoked="tables of any columns and cells, in any encoding and with any delimiter",
    seen="clips with distinct names, or one line",
    trials=60,
)
@examples(60)
@given(
    header=st.lists(COLUMNS | CELLS, max_size=5),
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=4),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
    encoding=ENCODINGS,
)
@example(header=['"', "path"], rows=[["a.mp4", '"', "a.mp4"]], delimiter=",", encoding="utf-8")  # A quoted cell of two lines.
def test_any_table(folder, header, rows, delimiter, encoding):
    text = "\n".join(delimiter.join(cells) for cells in [header, *rows])
    read(folder, text.encode(encoding, errors="replace"))


@pytest.mark.fault(
    promise="A damaged list gives clips or one line",
    provoked="a whole list with up to six mutations",
    seen="clips with distinct names, or one line",
    trials=60,
)
@examples(60)
@given(changes=CHANGES)
def test_a_mutated_list(folder, changes):
    read(folder, mutated(WHOLE, changes))
