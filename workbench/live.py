"""Training beside a view: a worker trains, publishes frames, and takes commands between two chunks.

Commands only leave a note for the worker; once it runs, nothing but the worker writes to the view. JAX runs one
thread's calls in order, so steps have a thread of their own: frames, and knobs that move, are shown beside them.
"""

import queue
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from mixvae import Config, Dataset, MixVAE, State, Trainer
from mixvae.checkpoint import Row
from mixvae.data import draw_labels
from mixvae.inference import BATCH
from mixvae.model import build_model
from mixvae.runs import Snapshot, build_trainer, epoch_row
from mixvae.schedules import constant
from mixvae.tau_classifier import UNLABELLED
from mixvae.trainer import joined
from workbench.atlas import COARSE, FINE, build_atlas
from workbench.channel_view import ChannelView
from workbench.curves import with_chunk
from workbench.film import Film
from workbench.given import GivenLabels
from workbench.knobs import as_shown
from workbench.memory import give_freed_memory_back
from workbench.pace import Pace
from workbench.points import POINTS, Points
from workbench.scores import asked
from workbench.transfer import transfer
from workbench.worker import Worker, in_thread

COMPILING = "compiling"


class LiveRun:
    """A run that trains while one looks: configure, start, pause, step, set a knob, close.

    `view` receives the frames; `points` fixed training images are placed in every plane, their labels only colour and
    score. `pace` tells when a frame is due, each with new steps; besides them there are those that show a moved knob.
    """

    def __init__(self, view: ChannelView, dataset: Dataset, points: int = POINTS, max_fps: float = 10.0):
        self.view, self.dataset, self.pace = view, dataset, Pace(max_fps)
        self.trainer: Trainer | None = None
        self.state: State | None = None
        self._wanted: Config | None = None  # what the next run is of
        self._shown: State | None = None
        self.points = Points(dataset, points)
        self.curves: list[Row] = []
        self.complete: Snapshot | None = None  # as its last complete epoch left it
        self._history, self._columns = [], []  # a row an epoch; of the epoch under way
        self.status, self._kept = "ready", ""  # what a new structure kept of the old one's weights, in words
        self._steps_asked, self._training, self._saved = 0, False, False
        self._panel: dict[str, float] = {}
        self._moves: queue.SimpleQueue[dict[str, float]] = queue.SimpleQueue()  # of the panel, not yet followed
        self.film = Film()
        self.given = GivenLabels(len(dataset.y_train))
        self.error: Exception | None = None
        self._compiled: dict[tuple, Future] = {}  # done once the steps of `_code` are; also of a run still to come
        self._waiting: list[threading.Event] = []  # of those who wait until it has settled
        view.set_points(self.points.labels, dataset.class_names, self.points.images)
        ref = weakref.ref(self)
        view.listen(lambda request: (run := ref()) and run.answer(request))
        view.once_watched(lambda: (run := ref()) and run.prepare())
        view.close_with(self)
        self._worker = Worker(self._turn, "LiveRun", ended=give_freed_memory_back)
        self._worker.start()

    def show(self, saved: Snapshot, then: Config | None = None, film: Film | None = None):
        """Put a saved run and its past on the view; training starts another, of `then` or of the same config.

        Labels given by hand stand in place of its own.
        """

        def put():
            self._training, self._steps_asked = False, 0
            self.film = film or Film()
            self._wanted = then or saved.trainer.config
            self.trainer, self.state, self.curves = saved.trainer, saved.state, list(saved.history)
            self.complete, self._saved, self.status = None, True, "saved run"
            self.pace.forget()
            before = self.trainer.labels
            self._label(self.trainer)
            if (self.trainer.labels != before).any():
                self.state = self.trainer.recount(self.state)
            self.view.show_moments(self.film.listing(), [moment.frame for moment in self.film.moments])
            self._publish(whole=True)

        self._command(put)

    def prepare(self):
        """Compile the steps of the next run while the first picture is looked at, so that training starts at once."""
        self._command(self._compile_ahead)

    def configure(self, config: Config):
        """Build the model of `config` where it differs from the present one, keeping the weights that still fit."""
        self._command(lambda: self._configure(config))

    def reset(self):
        """Begin again from the first step."""
        self._command(self._restart)

    def start(self):
        """Train until told to pause, or to the config's last epoch; a saved or a finished run begins again."""
        self._command(self._go)

    def pause(self):
        """Stop after the steps under way."""
        self._command(self._stop)

    def step(self, steps: int = 1):
        """Train this many steps and show them."""
        self._command(lambda: self._step(steps))

    def follow(self, knobs: Mapping[str, float]):
        """Set the knobs as a panel shows them: one that differs from the config is held, all others are on schedule.

        `curriculum` is a switch among them. Training never compiles anew for any of it.
        """
        self._moves.put(dict(knobs))
        self._command(self._take_moves)

    def ask(self):
        """Spend one label a channel, that of the training image it is surest of now; the tau table follows at once."""
        self._command(self._ask)

    def label(self, images: Sequence[int], labels: Sequence[int]):
        """Give training images labels, or take them back by -1; the tau table follows at once."""
        self._command(lambda: self._give(self.given.label, images, labels, self._classes))

    def undo(self):
        """Take the last change of given labels back."""
        self._command(lambda: self._give(self.given.undo))

    def forget(self):
        """Take all given labels back."""
        self._command(lambda: self._give(self.given.forget))

    def answer(self, request: Mapping[str, Any]):
        """Do what the view asks for: `ask`, `undo`, `forget`, `label` points, `import` a table, `go` to a moment.

        Raises ValueError for anything else, and nothing is done.
        """
        index = self.points.index
        match request:
            case {"do": "ask" | "undo" | "forget" as name}:
                getattr(self, name)()
            case {"do": "label", "points": [*points], "label": int(label)} if all(map(self.points.has, points)):
                self.label([int(index[point]) for point in points], [label] * len(points))
            case {"do": "import", "text": str(text)}:
                self._command(lambda: self._give(self.given.read, text, self.dataset.class_names))
            case {"do": "go", "moment": int(moment)}:
                self._command(lambda: self._go_to(moment))
            case _:
                raise ValueError(f"the view asked for {str(request)[:200]}, which nothing answers")

    def close(self):
        """End the worker."""
        self._worker.close()

    @property
    def epoch(self) -> float:
        """Epochs trained, with their fraction."""
        return self.trainer.epoch(self.state) if self.state is not None else 0.0

    def matrix(self) -> tuple[np.ndarray, str]:
        """Channel x label weights [K, Y] of the moment, and what they are."""
        return self.points.matrix(self.trainer, self._shown)

    def settled(self, timeout: float = 60.0) -> bool:
        """Wait until all commands so far are taken and the steps asked for done; False where `timeout` came first."""
        done = threading.Event()
        self._command(lambda: self._waiting.append(done))
        return done.wait(timeout)

    def _command(self, command: Callable[[], Any]):
        self._worker.command(command)

    def _turn(self) -> bool:
        """Take the commands that wait, then train one chunk; False where there is nothing to do."""
        try:
            waiting = self._worker.commands.qsize()
            for _ in range(waiting):
                self._worker.commands.get()()
            trains = (self._training or self._steps_asked > 0) and self._can_train()
            if trains:
                self._chunk()
            return trains or waiting > 0
        except Exception as error:
            traceback.print_exception(error)
            self._training, self._steps_asked = False, 0
            self.error = error.with_traceback(None)  # whose frames would hold the run of a closed page
            self._say(f"stopped: {type(error).__name__}: {error}")
            return True
        finally:
            while self._waiting and not self._steps_asked:
                self._waiting.pop().set()

    def _can_train(self) -> bool:
        """Whether the steps are compiled; a thread compiles them, so that commands are answered meanwhile."""
        code = self._code(self._config)
        if code not in self._compiled:
            self._say(self._phase())
            trainer, state = self.trainer, self.state
            self._compiled[code] = compiling(lambda: (trainer, state), self._worker.wake)
        compiled = self._compiled[code].done()
        if compiled == self.status.startswith(COMPILING):
            self._say(self._phase())
        return compiled

    def _compile_ahead(self):
        if self._code(self._wanted) in self._compiled:
            return
        config, dataset, now = self._wanted, self.dataset, (self.trainer, self.state)

        def fresh() -> tuple[Trainer, State]:
            trainer = build_trainer(config, dataset)
            return trainer, trainer.init()

        run = fresh if self._saved else lambda: now
        self._compiled[self._code(config)] = compiling(run, self._worker.wake)

    def _code(self, config: Config) -> tuple[Config, MixVAE]:
        """What tells a config's compiled steps from others; a part that was made anew under its name does too."""
        return config, build_model(config, self.dataset.image_shape)

    @property
    def _config(self) -> Config | None:
        return self.trainer and self.trainer.config

    def _build(self, config: Config, keep: bool):
        self._say(COMPILING)
        old = (self.trainer, self.state)
        if self._wanted and self._panel.get("k_active") == constant(self._wanted, "k_active"):
            del self._panel["k_active"]  # all channels of before are not all of another number
        trainer = build_trainer(config, self.dataset)
        self._label(trainer)
        state, self._kept = transfer(*old, trainer) if keep and self.trainer else (trainer.init(), "starts anew")
        self.trainer, self.state, self._saved, self._wanted = trainer, state, False, config
        self.pace.forget()
        if state.step == 0:
            self.curves, self.film, self.complete, self._history, self._columns = [], Film(), None, [], []
        self.status = f"ready: {self._kept}"
        self.state = as_shown(trainer, state, self._panel)
        self._publish(whole=True)

    def _configure(self, config: Config):
        if config != self._wanted:
            self._build(config, keep=not self._saved)

    def _restart(self):
        """The first step again, with the knobs where they stand on the panel."""
        self._build(self._wanted, keep=False)

    def _go(self):
        if self._saved or self.epoch >= self._config.train.epochs:
            self._restart()
        self._training = True
        self._say(self._phase())

    def _phase(self) -> str:
        """What training does now; routers that are trained alone are told apart."""
        if not (compiled := self._compiled.get(self._code(self._config))) or not compiled.done():
            return f"{COMPILING}: {self._kept}"
        train, epoch = self._config.train, int(self.epoch)
        if epoch >= train.starts_end:
            return "training"
        begun = epoch // train.start_epochs + 1
        which = f"start {begun} of {train.starts}"
        if begun > train.starts:
            which = f"the best start, regrouped, {begun - train.starts} of {train.regroups}"
        return f"training the router alone: {which}"

    def _stop(self):
        if self._training or self._steps_asked:
            self._training, self._steps_asked = False, 0
            self.status = "paused"
            self._publish(whole=True)

    def _step(self, steps: int):
        if self._saved:
            self._restart()
        self._steps_asked += steps

    def _ask(self):
        images = asked(self.trainer, self.state)
        known = images[self.dataset.y_train[images] != UNLABELLED]
        if not len(known):
            return self._show_given(f"{self.dataset.name} has no labels to ask for")
        return self._give(self.given.label, known, self.dataset.y_train[known], self._classes)

    @property
    def _classes(self) -> int:
        return len(self.dataset.class_names)

    def _give(self, change: Callable[..., None], *arguments: Any):
        """Change the given labels; a label that cannot be given is said beside them, and training goes on."""
        try:
            change(*arguments)
        except ValueError as error:
            self._show_given(str(error))
            return
        self._label(self.trainer)
        self.state = self.trainer.recount(self.state)
        self._show_given()
        self._publish(whole=not self._training)

    def _show_given(self, fault: str = ""):
        given = self.given
        table = given.table(self.dataset.class_names)
        self.view.show_given(*given.told(self.points.index), table, bool(given.before), fault)

    def _go_to(self, moment: int):
        if 0 <= moment < len(self.film.moments):
            self.view.show_past(self.film.moments[moment].frame)

    def _label(self, trainer: Trainer):
        """The labels that the config draws, and those given by hand in their place."""
        data, objective = trainer.config.data, trainer.config.objective
        drawn = draw_labels(self.dataset.y_train, data.labels, trainer.num_classes, trainer.config.train.seed)
        trainer.set_labels(self.given.over(drawn), objective.use_tau_classifier or self.given.any())

    def _take_moves(self):
        """Set the knobs where the last of the moves that wait left them."""
        if self._moves.empty():
            return
        panel = self._panel
        while not self._moves.empty():
            panel = panel | self._moves.get()
        state = as_shown(self.trainer, self.state, panel)
        self._panel = panel
        if (state.knobs, state.held, state.curriculum) != (self.state.knobs, self.state.held, self.state.curriculum):
            owners = state.knobs.k_active != self.state.knobs.k_active  # of points, which the planes' scale follows
            self.state, trains = state, self._training or self._steps_asked > 0
            if not trains or self.view.keeps_up():
                self._publish(whole=not trains, atlas=bool(owners))

    def _chunk(self):
        before = int(self.state.step)
        columns, seconds = self._advance(self._steps_asked or self.pace.steps)
        taken = int(self.state.step) - before
        self._steps_asked = max(0, self._steps_asked - taken)
        whole = taken == self.trainer.steps_per_epoch  # epochs so short that every chunk ends one
        if whole or int(self.state.step) % self.trainer.steps_per_epoch or not self.pace.steps_per_second:
            self.pace.took(taken, seconds)  # else an epoch's end, which may regroup, takes no step's time
        self.curves = with_chunk(self.curves, self.epoch, columns)
        self._columns.append(columns)
        if int(self.state.step) % self.trainer.steps_per_epoch == 0:
            row = epoch_row(self.trainer, self.state, joined(self._columns))
            self._history, self._columns = [*self._history, row], []
            self.complete = Snapshot(self.trainer, self.state, self._history)
        done = self.epoch >= self.trainer.config.train.epochs
        if self._training and done:
            self._training = False
        self.status = self._phase() if self._training else "finished" if done else "paused"
        if not self._training:
            self._publish(whole=True)

    def _advance(self, steps: int) -> tuple[dict[str, np.ndarray], float]:
        """Take steps: their columns and seconds. Frames of before, and knobs that move, are shown meanwhile."""
        trainer, before = self.trainer, self.state

        def advance() -> tuple[State, dict[str, np.ndarray], float]:
            start = time.perf_counter()
            state, columns = trainer.advance(before, steps)
            return state, columns, time.perf_counter() - start

        taken = in_thread(advance, self._worker.wake, "LiveRun steps")
        try:
            self._publish_due()
            while not taken.done():
                self._worker.wake.wait()
                self._worker.wake.clear()
                self._take_moves()
        finally:
            state, columns, seconds = taken.result()
            self.state = state if self.state is before else as_shown(trainer, state, self._panel)
        return columns, seconds

    def _publish_due(self):
        """Show where the last steps ended, if they were not shown, it is time to, and the page is not behind."""
        new = self._shown is None or int(self._shown.step) != int(self.state.step)
        if self._training and new and self.pace.frame_due and self.view.keeps_up():
            self._publish()

    def _publish(self, whole: bool = False, atlas: bool = True):
        if self.state is None:
            return
        self.pace.frame_shown()
        self.points.encode(self.trainer, self.state, whole, errors=self.view.colour_by == "error")
        self._shown = self._counted()
        speed = self.pace.steps_per_second * self._config.train.batch_size if self._training else 0.0
        frame = self.points.frame(self.trainer, self._shown, self.status, speed)
        message = self.view.show(frame, settled=whole)
        if not self._saved and self.film.add(frame.epoch, frame.k_active, message):
            self.view.show_moments(self.film.listing())
        if atlas and (whole or self.pace.atlas_due):
            model, average, images = self.trainer.model, self.state.average, FINE if whole else COARSE
            self.view.show_atlas(build_atlas(model, average, self.view.scale, frame.sigma_range, images))
            self.pace.atlas_shown()

    def _counted(self) -> State:
        """The State with its tau counts of this moment, for the eye; training counts anew where an epoch ends."""
        few = 0 < (self.trainer.labels >= 0).sum() <= BATCH
        return self.trainer.recount(self.state) if few else self.state

    def _say(self, status: str):
        self.status = status
        self.view.say(status)


def compiling(run: Callable[[], tuple[Trainer, State]], wake: threading.Event) -> Future:
    """What is done once the steps and the atlases of a run are compiled: one of them was taken, which nobody sees.

    What fails here fails before the worker too.
    """

    def compile_all():
        trainer, state = run()
        build_atlas(trainer.model, state.average, 1.0, (0.0, 1.0), COARSE)
        trainer.advance(state, 1)

    return in_thread(compile_all, wake, "compile")
