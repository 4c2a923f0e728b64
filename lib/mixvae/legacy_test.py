"""The old names build the modular form, and say how to write it."""

import inspect

import pytest

from mixvae import legacy
from mixvae.modules.decoders import ModularConvDecoder, ModularDenseDecoder

MODULAR = {"Dense": ModularDenseDecoder, "Conv": ModularConvDecoder}
CONDITIONINGS = {"": "none", "ComponentAware": "concat", "FiLM": "film"}
NAMES = [
    (f"{conditioning}{output}{kind}Decoder", MODULAR[kind], CONDITIONINGS[conditioning], output)
    for conditioning in CONDITIONINGS
    for output in ("", "Heteroscedastic")
    for kind in MODULAR
    if (conditioning, output) != ("FiLM", "Heteroscedastic")
]
SIZES = dict(latent_dim=3, output_hw=[20, 30], component_embedding_dim=7, sigma_min=0.1, sigma_max=0.4)


@pytest.mark.parametrize("name, decoder, conditioning, output", NAMES, ids=[row[0] for row in NAMES])
def test_an_old_decoder_is_the_modular_one_and_its_warning_is_the_new_call(name, decoder, conditioning, output):
    sizes = SIZES | ({"hidden_dims": (6, 8)} if decoder is ModularDenseDecoder else {})
    with pytest.warns(DeprecationWarning) as caught:
        old = getattr(legacy, name)(**sizes, num_components=5)
    new = decoder(conditioning_method=conditioning, output_type=output.lower() or "standard", **sizes)
    assert old == new

    (warning,) = caught
    before, after = str(warning.message).split(" is deprecated; write ")
    after, _, lost = after.partition("; ")
    assert eval(after, {decoder.__name__: decoder}) == new
    assert before == f"{name}({', '.join(f'{k}={v!r}' for k, v in sizes.items())}, num_components=5)"
    assert lost.startswith("num_components is left out: the model owns the table")
    assert warning.filename == __file__


def test_the_ten_names_are_the_table():
    assert set(legacy.FORMS) == {name for name, *_ in NAMES} and len(legacy.FORMS) == 10


def test_a_name_can_be_imported_and_defaults_do():
    from mixvae.legacy import FiLMConvDecoder

    with pytest.warns(
        DeprecationWarning, match=r"FiLMConvDecoder\(\) .* ModularConvDecoder\(conditioning_method='film'"
    ):
        assert FiLMConvDecoder() == ModularConvDecoder("film")


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("FiLMConvDecoder", dict(latent_dims=2), "FiLMConvDecoder: argument 'latent_dims' .*did you mean 'latent_dim'"),
        ("ConvDecoder", dict(hidden_dims=(6,)), "ConvDecoder: argument 'hidden_dims' does not exist"),
        ("DenseDecoder", dict(num_component=5), "argument 'num_component' .*did you mean 'num_components'"),
        ("DenseDecoder", dict(conditioning_method="film"), "argument 'conditioning_method' does not exist"),
    ],
)
def test_an_argument_that_never_was_is_refused(name, arguments, message):
    with pytest.raises(TypeError, match=message):
        getattr(legacy, name)(**arguments)


def test_a_name_that_never_was_is_refused_with_the_nearest():
    never = "FilmConvDecoder"
    with pytest.raises(AttributeError, match=f"{never} does not exist; did you mean 'FiLMConvDecoder'"):
        getattr(legacy, never)
    with pytest.raises(ImportError, match=never):
        from mixvae.legacy import FilmConvDecoder  # noqa: F401


def test_there_is_no_class_for_a_name():
    assert not [c for c in vars(legacy).values() if inspect.isclass(c) and c.__module__ == legacy.__name__]
