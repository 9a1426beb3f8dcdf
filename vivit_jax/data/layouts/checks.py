"""The checks that hold for the clips of every layout."""

import difflib
import pathlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vivit_jax.console import counted, first_of
from vivit_jax.data.layouts.base import Annotations, Clip, class_names, is_known
from vivit_jax.data.layouts.copies import content_groups
from vivit_jax.data.layouts.image_sequences import video_of
from vivit_jax.data.splits import SYNONYMS, USUAL, canonical
from vivit_jax.data.splits import check_name as check_split
from vivit_jax.errors import UserError
from vivit_jax.files import real_path
from vivit_jax.heads import by_head


def check(annotations: Annotations, *, shared_videos: bool = False) -> tuple[str, ...]:
    """Refuses what no data set should have: no clips, a clip twice, a video in two splits, a class without training clips, names that
    are too much alike. In a published list, copies of a video and classes without clips are reported and not refused.

    Args:
      annotations: the clips and classes of the data set.
      shared_videos: whether segments of one file may be in several splits.

    Returns:
      What was reported, one line each.

    Raises:
      UserError: naming the offender.
    """
    if not annotations.clips:
        raise UserError("there are no videos")
    check_splits(annotations.splits)
    for head, names in by_head(annotations.labels).items():
        if not names:
            raise UserError(f"no video has a {head or 'label'}: there are no classes to learn")
        check_class_names(names)
    if not annotations.published:
        _check_unique(annotations.clips)
    _check_names(annotations.clips)
    contents = content_groups([video for clip in annotations.clips if (video := video_of(clip.source))])
    remarks = [
        *_check_splits_disjoint(annotations, contents, shared_videos=shared_videos),
        *_copies_with_other_labels(annotations.clips, contents),
        *_lonely_classes(annotations),
        *_unusual_splits(annotations.splits),
    ]
    return (*remarks, *(_check_trained(annotations) if "train" in annotations.splits else ()))


def check_splits(splits: Sequence[str]) -> None:
    """Refuses splits whose names no config or command could ask for, and names that differ only in case.

    Raises:
      UserError: naming them.
    """
    seen = {}
    for split in splits:
        check_split(split)
        if seen.setdefault(split.casefold(), split) != split:
            raise UserError(f"the splits {seen[split.casefold()]!r} and {split!r} are probably the same: give them one name")


def check_class_names(names: Sequence[str]) -> None:
    """Refuses class names that hold line breaks or the like, and pairs that a person would take for one.

    Raises:
      UserError: naming them.
    """
    seen = {}
    for name in names:
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name) or not name.strip():
            raise UserError(
                f"a class is named {name!r}: a name needs a letter, and may not contain line breaks, tabs or other control characters"
            )
        key = unicodedata.normalize("NFKC", name).strip().casefold()
        first = seen.setdefault(str(int(key)) if key.isdecimal() else key, name)
        if first != name:
            raise UserError(f"the classes {first!r} and {name!r} are probably the same: give them one name, or names that differ in more")


def _check_unique(clips: Sequence[Clip]) -> None:
    seen = {}
    for clip in clips:
        if not isinstance(clip.source, pathlib.Path):
            continue
        first = seen.setdefault((real_path(clip.source), clip.start, clip.end, clip.by_frames), clip)
        if first is not clip:
            raise UserError(_twice(first, clip))


def _twice(first: Clip, clip: Clip) -> str:
    apart = first.split != clip.split
    other = f"as {first.name}{f' in {first.split}' if apart else ''} and here{f' in {clip.split}' if apart else ''}"
    place = f" ({other})" if first.name != clip.name else f" (in {first.split} and {clip.split})" if apart else ""
    if first.name != clip.name and first.label != clip.label:
        return f"{first.name} and {clip.name} are one file, by a link or another spelling, with other labels: keep one of them"
    if first.label == clip.label or apart:
        return f"{clip.name}: listed twice{place}; keep one line"
    both = ";".join(dict.fromkeys([*class_names(first.label), *class_names(clip.label)]))
    return f"{clip.name}: listed twice with other labels; for several labels name the column `labels` and write {both!r} on one line"


def _check_names(clips: Sequence[Clip]) -> None:
    names = set()
    for clip in clips:
        if (clip.split, clip.name) in names:
            raise UserError(f"{clip.name}: two videos or segments of {clip.split} have this name")
        names.add((clip.split, clip.name))


def _check_splits_disjoint(annotations: Annotations, contents: Mapping[pathlib.Path, str], *, shared_videos: bool) -> list[str]:
    """Refuses, or for a published list reports, videos of equal contents in two splits."""
    clips = [clip for clip in annotations.clips if video_of(clip.source)]
    if len({clip.split for clip in clips}) < 2:
        return []
    seen, copies = {}, []
    for clip in clips:
        video = video_of(clip.source)
        first = seen.setdefault(contents[video], clip)
        if first.split == clip.split:
            continue
        if video_of(first.source) == video:
            if not shared_videos:
                raise UserError(
                    f"{video.name}: the same video is in {first.split} and {clip.split}; keep it in one, or let its segments be in "
                    "both by --allow_shared_videos"
                )
        elif annotations.published:
            copies.append(f"{first.name} ({first.split}) and {clip.name} ({clip.split})")
        else:
            raise UserError(f"the same video is in two splits: {first.name} ({first.split}) and {clip.name} ({clip.split}); keep one")
    return [f"warning: {len(copies)} videos are in two splits, as published: {', '.join(copies[:5])}"] if copies else []


def _copies_with_other_labels(clips: Sequence[Clip], contents: Mapping[pathlib.Path, str]) -> list[str]:
    """Warns of files of equal contents that have other labels, which no model can tell apart."""
    seen, pairs = {}, []
    for clip in clips:
        if (video := video_of(clip.source)) and is_known(clip.label):
            first = seen.setdefault((contents[video], clip.start, clip.end, clip.by_frames), clip)
            if first.label != clip.label:
                pairs.append(f"{first.name} and {clip.name}")
    if not pairs:
        return []
    return [f"warning: {counted(len(pairs), 'video is a copy', 'videos are copies')} of another, with other labels: {first_of(pairs)}"]


def _unusual_splits(splits: Sequence[str]) -> Iterator[str]:
    """Warns of a set without `train`, and of splits that are likely misspelt."""
    usual = [name for synonyms in SYNONYMS.values() for name in synonyms]
    for split in splits:
        meant = difflib.get_close_matches(split.lower(), usual, n=1, cutoff=0.6) if split not in USUAL else []
        if meant:
            yield f"warning: split {split} is one of its own: is {canonical(meant[0])} meant?"
    if "train" not in splits:
        yield f"warning: there is no split train to learn from, only {', '.join(splits)}"


def classes_of(clips: Iterable[Clip], head: str) -> set[str]:
    """The classes of a head that some clips have; the head is empty if there is a single one."""
    return {name for clip in clips for name in class_names(clip.label[head] if head else clip.label)}


def _check_trained(annotations: Annotations) -> Iterator[str]:
    for head, names in by_head(annotations.labels).items():
        trained = classes_of((clip for clip in annotations.clips if clip.split == "train"), head)
        missing = [name for name in names if name not in trained]
        if missing and annotations.published:
            yield f"{len(missing)} of {len(names)} {f'{head} ' if head else ''}classes have no training video here"
        elif missing:
            raise UserError(f"no training video of {head or 'class'} {first_of(missing)}: give it one, or leave its clips out")


def _lonely_classes(annotations: Annotations) -> Iterator[str]:
    """Warns where there is one class only, which any model gets right; not where clips may have several labels, or none."""
    for head, names in by_head(annotations.labels).items():
        if len(names) == 1 and not annotations.multi_label:
            yield f"warning: {names[0]} is the only {head or 'class'}: a classifier has nothing to tell it from"


def groups_in_several_splits(clips: Sequence[Clip]) -> list[str]:
    """Groups whose clips are in more than one split, so that test clips resemble training clips and the score is too high."""
    splits = defaultdict(set)
    for clip in clips:
        if clip.group is not None:
            splits[clip.group].add(clip.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)
