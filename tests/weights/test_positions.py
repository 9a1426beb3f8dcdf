import numpy as np
import pytest
import scipy.ndimage

from vivit_jax.errors import UserError
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.positions import METHODS, image_grid, image_positions, resize_positions, video_grid

GRID = np.random.default_rng(0).normal(size=(4, 5, 3, 7)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_a_grid_of_the_same_size_stays_bit_by_bit(method):
    np.testing.assert_array_equal(resize_positions(GRID, GRID.shape[:3], method), GRID)


@pytest.mark.fault(
    promise="Positions are resized in time and space as in the original",
    provoked="larger, smaller and non-square grids and other times, with SciPy's zoom beside them",
    seen="the same numbers",
    trials=4,
)
@pytest.mark.parametrize("size", [(8, 9, 2), (2, 10, 6), (1, 5, 3), (4, 3, 7)])
def test_linear_resizing_is_scipys_zoom_of_the_original_in_time_and_space(size):
    zoom = [new / old for new, old in zip(size, GRID.shape, strict=False)] + [1]
    np.testing.assert_allclose(resize_positions(GRID, size, "linear"), scipy.ndimage.zoom(GRID, zoom, order=1), atol=1e-6)


@pytest.mark.parametrize("size", [(16, 9), (2, 3), (5, 7), (3, 1)])
def test_cubic_resizing_is_pytorchs_bicubic(size):
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    image = torch.from_numpy(GRID[0]).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(image, size=size, mode="bicubic", align_corners=False)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resize_positions(GRID[0], size, "cubic"), expected, atol=2e-6)


@pytest.mark.parametrize(("size", "times"), [((16, 9), 7), ((2, 3), 2), ((5, 7), 3), ((3, 2), 9)])
def test_resizing_without_aliases_and_to_the_nearest_is_pytorchs(size, times):
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    resize = torch.nn.functional.interpolate
    image, row = torch.from_numpy(GRID[0]).permute(2, 0, 1)[None], torch.from_numpy(GRID[:, 0, 0].T)[None]
    expected = resize(image, size=size, mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resize_positions(GRID[0], size, "cubic_antialiased"), expected, atol=2e-6)
    expected = resize(image, size=size, mode="nearest")[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(resize_positions(GRID[0], size, "nearest"), expected)
    np.testing.assert_array_equal(resize_positions(GRID[:, 0, 0], (times,), "nearest"), resize(row, size=times)[0].T.numpy())


@pytest.mark.parametrize("method", METHODS)
def test_one_time_becomes_many_equal_ones_and_constants_stay_constant(method):
    resized = resize_positions(GRID[:1], (6, 5, 3), method)
    np.testing.assert_allclose(resized, np.repeat(GRID[:1], 6, axis=0), atol=1e-6)
    np.testing.assert_allclose(resize_positions(np.full_like(GRID, 3.0), (9, 2, 11), method), 3.0, atol=1e-5)


def test_resizing_real_positions_is_what_their_own_code_does(shared_data):
    arrays = np.load(shared_data / "pretrained_vits14" / "vits14_google_layout_fp16.npz")
    grid = arrays["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(37, 37, -1)
    own = arrays["Transformer/posembed_input/pos_embedding_16x16"][0, 1:].reshape(16, 16, -1)
    np.testing.assert_allclose(resize_positions(grid, (16, 16), "cubic"), own, atol=1e-4)  # float16 on disk


@pytest.mark.fault(
    promise="The size of a grid that is not square is asked for, not guessed",
    provoked="counts of positions that are not square numbers",
    seen="one line that says what to give",
    trials=1,
)
def test_grids_are_square_or_as_told():
    assert image_grid(9, (4, 4), None, "x") == (3, 3)
    assert image_grid(6, (4, 8), (8, 24), "x") == (2, 3)
    with pytest.raises(UserError, match="6 positions do not form a square: give image_size"):
        image_grid(6, (4, 4), None, "x")
    with pytest.raises(UserError, match=r"the grid of 9 patches of .* is not known: give image_size"):
        image_grid(9, (4, 8), None, "x")
    with pytest.raises(UserError, match="is 2 x 2, not 6"):
        image_grid(6, (4, 4), (8, 8), "x")


def test_a_cls_token_without_a_position_is_recognised():
    rows = np.ones((9, 2), np.float32)
    cls_position, grid = image_positions(rows, True, (4, 4), None, "x")
    assert grid.shape == (1, 3, 3, 2)
    np.testing.assert_array_equal(cls_position, 0)


def test_time_and_space_are_asked_for_by_name_where_the_count_cannot_tell_them():
    assert video_grid(32, (2, 8, 8), SourceOptions(clip=(4, 32, 32)), "x") == (2, 4, 4)
    assert video_grid(32, (2, 8, 8), SourceOptions(target_clip=(4, 32, 32)), "x") == (2, 4, 4)
    with pytest.raises(UserError, match=r"give the clip it was trained on, as \(frames, height, width\)"):
        video_grid(32, (2, 8, 8), SourceOptions(target_clip=(8, 32, 32)), "x")
    with pytest.raises(UserError, match="not the 32 here"):
        video_grid(32, (2, 8, 8), SourceOptions(clip=(8, 32, 32)), "x")
