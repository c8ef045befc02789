"""`--group-by exif`: what the camera wrote tells brackets apart in a flat folder."""

import functools

import pytest
from PIL import Image

from lutfuse.transforms.inputs import exif_groups
from lutfuse.transforms.inputs.discovery import find_brackets
from lutfuse.transforms.inputs.exif_groups import group_by_exif
from lutfuse.transforms.storage import on_disk

DATE, TIME_S, F_NUMBER, ISO, MODEL = 0x9003, 0x829A, 0x829D, 0x8827, 0x0110
EXIF_IFD = 0x8769


def shot(folder, name, second, exposure_s, *, model="Camera", size=(8, 8), tags=True):
    exif = Image.Exif()
    exif[MODEL] = model
    if tags:
        exif.get_ifd(EXIF_IFD).update(
            {DATE: f"2024:05:01 12:00:{second:02}", TIME_S: exposure_s, F_NUMBER: 8.0, ISO: 100}
        )
    folder.mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / name, exif=exif)


@pytest.fixture
def groups(tmp_path):
    def find():
        found = find_brackets(str(tmp_path), group=group_by_exif)
        return {b.group_id: ([u.rpartition("/")[2] for u in b.uris], b.problem) for b in found}

    return find


def test_a_repeated_exposure_starts_a_new_bracket(tmp_path, groups):
    for i, (second, exposure) in enumerate([(0, 0.01), (1, 0.1), (2, 1.0), (4, 0.01), (5, 0.1), (6, 1.0)]):
        shot(tmp_path / "day", f"IMG_{i}.jpg", second, exposure)
    assert groups() == {
        "day/IMG_0": (["IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg"], None),
        "day/IMG_3": (["IMG_3.jpg", "IMG_4.jpg", "IMG_5.jpg"], None),
    }


def test_capture_time_and_not_the_file_name_gives_the_order(tmp_path, groups):
    shot(tmp_path / "d", "b.jpg", 1, 0.1)
    shot(tmp_path / "d", "z.jpg", 0, 0.01)
    shot(tmp_path / "d", "a.jpg", 2, 1.0)
    assert groups() == {"d/z": (["z.jpg", "b.jpg", "a.jpg"], None)}


@pytest.mark.parametrize(
    "change", [{"second": 30}, {"model": "Another"}, {"size": (8, 10)}], ids=["pause", "camera", "size"]
)
def test_a_pause_another_camera_or_another_size_starts_a_new_bracket(tmp_path, groups, change):
    shot(tmp_path / "d", "1.jpg", 0, 0.01)
    shot(tmp_path / "d", "2.jpg", 1, 0.1)
    later = {"second": 2} | change
    shot(tmp_path / "d", "3.jpg", exposure_s=0.5, **later)
    shot(tmp_path / "d", "4.jpg", exposure_s=1.0, **later)
    assert [names for names, _ in groups().values()] == [["1.jpg", "2.jpg"], ["3.jpg", "4.jpg"]]


def test_a_folder_of_more_photos_than_fit_is_grouped_alike(tmp_path, groups, monkeypatch):
    for i in range(8):
        shot(tmp_path / "d", f"{7 - i}.jpg", 2 * i, 0.01 * 10 ** (i % 2))
    whole = groups()
    monkeypatch.setattr(on_disk, "IN_MEMORY", 3)
    monkeypatch.setattr(exif_groups, "READ_AHEAD", 2)
    assert groups() == whole
    assert [len(names) for names, _ in whole.values()] == [2, 2, 2, 2]


def test_a_long_exposure_is_no_pause(tmp_path, groups):
    shot(tmp_path / "d", "1.jpg", 0, 20.0)
    shot(tmp_path / "d", "2.jpg", 22, 5.0)
    assert len(groups()) == 1


def test_a_tenth_exposure_starts_a_new_bracket(tmp_path, groups):
    for i in range(11):
        shot(tmp_path / "d", f"{i:02}.jpg", i, 0.001 * 2**i)
    assert [len(names) for names, _ in groups().values()] == [9, 2]


def test_photos_that_cannot_be_placed_are_kept_with_the_reason(tmp_path, groups):
    shot(tmp_path / "d", "plain.jpg", 0, 0, tags=False)
    (tmp_path / "d" / "junk.jpg").write_bytes(b"junk")
    (tmp_path / "d" / "link.jpg").symlink_to("nowhere.jpg")
    found = groups()
    assert set(found) == {"d/plain", "d/junk", "d/link"}
    assert all("--group-by folder" in problem for _, problem in found.values())


def test_storage_that_is_down_is_not_taken_for_a_photo_without_exif(tmp_path, groups, monkeypatch):
    def down(uri, limit):
        raise TimeoutError("no answer")

    shot(tmp_path / "d", "1.jpg", 0, 0.01)
    monkeypatch.setattr(exif_groups.files, "read_bytes", down)
    with pytest.raises(TimeoutError):
        groups()


def test_reference_images_are_left_out(tmp_path, groups):
    shot(tmp_path / "d", "1.jpg", 0, 0.01)
    shot(tmp_path / "d", "2.jpg", 1, 0.1)
    shot(tmp_path / "d", "reference.jpg", 1, 0.5)
    assert groups() == {"d/1": (["1.jpg", "2.jpg"], None)}


@pytest.mark.needs_data
def test_a_real_cameras_bracket_is_one_group(data_dir):
    folder = str(data_dir / "uhd" / "library_aisle")
    # Set by hand: up to half a minute between two shots.
    (found,) = find_brackets(folder, group=functools.partial(group_by_exif, gap_s=60))
    assert len(found.uris) == 4
    assert found.problem is None
    assert len(list(find_brackets(folder, group=group_by_exif))) == 4
