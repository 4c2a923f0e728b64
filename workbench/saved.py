"""Saved runs on views that nothing trains behind, and the past that such a view can go through."""

from datetime import datetime
from pathlib import Path
from typing import Any

from mixvae import Dataset
from mixvae.checkpoint import save
from mixvae.runs import Snapshot
from workbench.atlas import build_atlas
from workbench.channel_view import ChannelView
from workbench.film import Film, Moment, load_film
from workbench.live import LiveRun
from workbench.points import POINTS, Points
from workbench.presets import RUNS


class Recorder:
    """Keeps the moments of a run that trains without a view in its folder, going on from those that are there."""

    def __init__(self, dataset: Dataset, folder: str | Path):
        self.folder, self.film = folder, load_film(folder)
        self.view, self.points = ChannelView(), Points(dataset, POINTS)

    def record(self, at: Snapshot):
        """Keep the moment of a Snapshot."""
        self.points.encode(at.trainer, at.state, whole=True)
        frame = self.points.frame(at.trainer, at.state, "saved run", 0.0)
        if self.film.add(frame.epoch, frame.k_active, self.view.show(frame, settled=True)):
            self.film.save(self.folder)


def keep(run: LiveRun, home: Path = RUNS) -> str:
    """Write a live run, as its last complete epoch left it, into a new folder of `home`; in words where, or why not.

    With it go its past, and labels given by hand as `labels.csv`.
    """
    at = run.complete
    if at is None:
        return "Nothing is kept: no epoch of this run is complete."
    folder = home / f"live-{datetime.now():%Y-%m-%d-%H-%M-%S}"
    save(folder, *at)
    Film([moment for moment in run.film.moments if moment.epoch <= len(at.history)]).save(folder)
    if run.given.any():
        (folder / "labels.csv").write_text(run.given.table(run.dataset.class_names), encoding="utf-8")
    return f"Kept in {folder}, as after epoch {len(at.history)}."


def show_saved(view: ChannelView, saved: Snapshot, dataset: Dataset, film: Film) -> Points:
    """Put a saved run on a view that nothing trains behind: its planes, its past, its pictures under the pointer."""
    points = Points(dataset, POINTS)
    view.set_points(points.labels, dataset.class_names, points.images)
    points.encode(saved.trainer, saved.state, whole=True)
    frame = points.frame(saved.trainer, saved.state, "saved run", 0.0)
    view.show(frame, settled=True)
    view.show_atlas(build_atlas(saved.trainer.model, saved.state.average, view.scale, frame.sigma_range))
    replay(view, film)
    return points


def show_film(view: ChannelView, points: Points, dataset: Dataset, film: Film):
    """Put the past of a run on a view, the newest moment first."""
    view.set_points(points.labels, dataset.class_names, points.images)
    view.frame, view.status = film.moments[-1].frame if film.moments else b"", "earlier moments of this run"
    replay(view, film)


def show_moment(moment: Moment, dataset: Dataset) -> ChannelView:
    """A view of its own for one moment of a run's past."""
    view = ChannelView()
    show_film(view, Points(dataset, POINTS), dataset, Film([moment]))
    view.status = "saved run"
    return view


def replay(view: ChannelView, film: Film):
    """Let a view that nothing trains behind go through a film."""

    def answer(request: dict[str, Any]):
        if request.get("do") == "go" and 0 <= request["moment"] < len(film.moments):
            view.show_past(film.moments[request["moment"]].frame)

    view.show_moments(film.listing())
    view.kernel = False
    view.listen(answer)
