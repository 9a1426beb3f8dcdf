"""Makes videos by Apache Beam on as many machines as its runner has; tfds's own support for Beam writes them.

The machines share the file system of sources and data set. Each video is made by the same function as without Beam, under the same
limits, in a process that a damaged file may take with it. What became of it comes back through files of text beside the records.
"""

import json
import os
import pathlib
import re
import shlex
from collections import deque
from collections.abc import Iterator, Sequence

import apache_beam as beam
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions

from vivit_jax.data.preparation import builder, making
from vivit_jax.data.preparation.outcome import EmptySplitError, Outcome
from vivit_jax.data.preparation.transcode import Facts
from vivit_jax.data.workers import Failure
from vivit_jax.errors import UserError

FACTS = "facts"
QUIET = ["--default_sdk_harness_log_level=ERROR"]  # what the user gives comes later, and counts


def write(name: str, folder: pathlib.Path, description: str, outcome: Outcome, short_side: int, options: str) -> pathlib.Path:
    """Makes a data set's videos and writes them, as `builder.write` does; tells the outcome of each clip.

    Args:
      name: the data set's name.
      folder: the folder to write it to.
      description: a sentence on where the videos came from.
      outcome: told of each clip, in order, when all are made.
      short_side: pixels; smaller videos keep their size.
      options: those of Beam's pipeline, as on a command line: `--runner=DirectRunner --direct_num_workers=2`.

    Raises:
      UserError: if more clips were refused than are tolerated, or for options that are no words.
    """
    annotations = outcome.annotations
    config = tfds.download.DownloadConfig(beam_options=PipelineOptions([*QUIET, *_words(options)]))

    def examples(split: str) -> beam.PTransform:
        return _MakeExamples(making.jobs_of(annotations, split), short_side, os.fspath(folder / f"{FACTS}-{split}"))

    try:
        path = builder.write(name, folder, builder.Contents.of(annotations, examples, description), config)
    except Exception as error:  # Beam wraps what is raised in a step into whatever the runner has
        if empty := re.search(r"number of generated examples is 0 for split (\w+)", str(error)):
            raise EmptySplitError(f"every video of {empty[1]} was refused") from error
        raise
    facts = _facts(folder)
    for clip in (clip for job in making.jobs_of(annotations) for clip in job):
        told = facts[clip.split, clip.name]
        outcome.refused(clip, told) if isinstance(told, Failure) else outcome.stored(clip, told)
    outcome.check()
    return path


def _words(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError as error:
        raise UserError(f"--beam_options {options!r}: {error}") from None


def _facts(folder: pathlib.Path) -> dict[tuple[str, str], Facts | Failure]:
    """What became of each clip, by its split and name."""
    told = {}
    for path in folder.glob(f"{FACTS}-*"):
        with path.open(encoding="utf-8") as file:
            for line in file:
                split, name, made = json.loads(line)
                told[split, name] = Failure(made) if isinstance(made, str) else Facts.from_json(made)
    return told


class _MakeExamples(beam.PTransform):
    """Turns jobs into pairs of key and example, and writes the facts of their clips to text files."""

    def __init__(self, jobs: Sequence[making.Job], short_side: int, facts_to: str) -> None:
        super().__init__()
        self._jobs, self._short_side, self._facts_to = jobs, short_side, facts_to

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Adds the transform to a pipeline."""
        made = (
            pipeline
            | "Jobs" >> beam.Create(self._jobs, reshuffle=True)
            | "Transcode" >> beam.ParDo(_Transcode(self._short_side)).with_outputs(FACTS, main="examples")
        )
        _ = made[FACTS] | "Facts" >> beam.io.WriteToText(self._facts_to)
        return made.examples


class _Transcode(beam.DoFn):
    """Makes the videos of a job, in a process that is started once."""

    def __init__(self, short_side: int) -> None:
        self._short_side = short_side

    def setup(self) -> None:
        """Starts the process. What comes after this step in the same worker serialises the examples."""
        builder.sort_fields_for_good()
        self._waiting: deque[making.Job] = deque()
        self._made = making.make_videos(_drawn(self._waiting), self._short_side, workers=1)

    def process(self, job: making.Job) -> Iterator[object]:
        """Yields examples, and facts under their tag."""
        self._waiting.append(job)
        _, made = next(self._made)
        for clip, video in zip(job, made, strict=True):
            told = video.reason if isinstance(video, Failure) else video.facts.to_json()
            yield beam.pvalue.TaggedOutput(FACTS, json.dumps([clip.split, clip.name, told]))
            if not isinstance(video, Failure):
                yield clip.name, builder.example(clip, video)

    def teardown(self) -> None:
        """Ends the process."""
        self._made.close()


def _drawn(waiting: deque[making.Job]) -> Iterator[making.Job]:
    while True:
        yield waiting.popleft()
