"""Another structure while a run is live: what is kept, and what the panel shows afterwards."""

import pytest

from mixvae.example_runs import STAGES, same, tiny_config
from workbench.example_screen import LONG, OFF, make, panel

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_new_output_head_keeps_the_encoder_and_says_so(live, screen):
    live.step(7)
    assert live.settled()
    old = live.state
    live.configure(tiny_config(**LONG, **{"model.output": "heteroscedastic"}))
    assert live.settled() and live.status == screen.frames[-1].status
    assert live.status == "ready: kept embeddings, encoder; the rest starts anew"
    for part in ("embeddings", "encoder"):
        assert same(live.state.params[part], old.params[part]) and same(live.state.average[part], old.average[part])
    assert live.state.step == 0 and not live.curves
    assert screen.frames[-1].sigma is not None and screen.frames[-1].sigma_range == (0.05, 0.5)


def test_another_number_of_channels_fits_the_view(live, screen):
    live.configure(tiny_config(**LONG, **{"model.num_components": 3}))
    assert live.settled() and screen.frames[-1].z.shape == (3, 40, 2) and screen.frames[-1].k_active == 3
    assert live.status == "ready: kept decoder; the rest starts anew"


def test_more_channels_are_all_open_where_all_were_and_none_counts_as_unlocked(live, screen):
    live.follow(panel(live.trainer.config))
    live.configure(tiny_config(**LONG, **{"model.num_components": 7}))
    assert live.settled() and screen.frames[-1].k_active == 7 and not any(live.state.held)
    assert all("locked" not in frame.sentence for frame in screen.frames)
    assert [moment["event"] for moment in screen.moments] == [""]


CHANGES = {
    "structure": lambda live: live.configure(tiny_config(**LONG, **STAGES, **{"model.output": "heteroscedastic"})),
    "estimator": lambda live: live.configure(tiny_config(**LONG, **STAGES, **{"routing.estimator": "exact"})),
    "reset": lambda live: live.reset(),
}


@pytest.mark.parametrize("training", [False, True], ids=["paused", "training"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_rebuilt_model_keeps_what_the_panel_shows(change, training, screen):
    live = make(screen, **LONG, **STAGES)
    live.follow(panel(tiny_config(**LONG, **STAGES), tau=2.0, beta_z=0.5, curriculum=False))
    live.step(2)
    assert live.settled()
    trainer, shown = live.trainer, len(screen.frames)
    if training:
        live.start()
    CHANGES[change](live)
    live.step()
    live.pause()
    assert live.settled() and live.trainer is not trainer
    for frame in screen.frames[shown:]:
        assert frame.tau == 2.0 and frame.k_active == 5
        assert frame.sentence.endswith("off schedule: tau = 2, beta_z = 0.5")
    assert not live.state.curriculum.on and (live.state.knobs.tau, live.state.knobs.beta_z) == (2.0, 0.5)
    live.follow(panel(tiny_config(**LONG, **STAGES)))
    assert live.settled() and live.state.curriculum.on and not any(live.state.held)
    live.close()


def test_fewer_channels_take_a_moved_k_active_back_and_more_take_it_up_again(live, screen):
    live.follow(panel(live.trainer.config, k_active=4))
    assert live.settled() and live.state.held.k_active and screen.frames[-1].k_active == 4
    live.configure(tiny_config(**LONG, **{"model.num_components": 3}))
    assert live.settled() and not live.state.held.k_active and screen.frames[-1].k_active == 3
    live.configure(tiny_config(**LONG))
    assert live.settled() and live.state.held.k_active and screen.frames[-1].k_active == 4
    live.follow(panel(live.trainer.config))
    assert live.settled() and not any(live.state.held) and screen.frames[-1].k_active == 5 and live.error is None


def test_fewer_channels_than_a_curriculum_switched_on_needs_are_shown_with_all_open(screen):
    live = make(screen, **LONG, **OFF)
    live.follow(panel(tiny_config(**OFF), curriculum=True))
    assert live.settled() and live.state.curriculum.on and screen.frames[-1].k_active == 2
    few = tiny_config(**LONG, **OFF, **{"model.num_components": 3})
    live.configure(few)
    live.follow(panel(few, curriculum=False))
    live.step()
    assert live.settled() and live.error is None and not live.state.curriculum.on and live.state.step == 1
    assert screen.frames[-1].z.shape[0] == screen.frames[-1].k_active == 3
    live.close()


def test_another_estimator_keeps_every_weight_and_the_place_in_the_schedules(screen):
    schedule = STAGES | LONG | {"routing.tau_rate": 1.0}
    live = make(screen, **schedule)
    live.step(8)
    assert live.settled()
    old, shown, rows = live.state, screen.frames[-1], len(live.curves)
    live.configure(tiny_config(**schedule, **{"routing.estimator": "exact"}))
    assert live.settled() and live.status == "ready: all weights were kept" and len(live.curves) == rows
    assert same(live.state.params, old.params) and same(live.state.optimiser, old.optimiser) and live.state.step == 8
    assert screen.frames[-1].k_active == shown.k_active == 5 and 0.1 < screen.frames[-1].tau < shown.tau
    live.close()


def test_the_same_config_builds_nothing(live, screen):
    trainer, shown = live.trainer, len(screen.frames)
    live.configure(tiny_config(**LONG))
    assert live.settled() and live.trainer is trainer and len(screen.frames) == shown
