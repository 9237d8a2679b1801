"""Recipes as files: what they may say, and what is refused by name."""

import pytest
import tiny_models
import torch
from digits_model import trained

from intaglio.compress.share import share
from intaglio.errors import DataError, IntaglioError, RecipeError
from intaglio.recipes import recipe as recipes
from intaglio.recipes.steps import kind_of, kinds
from intaglio.train.module import GraphModule

torch.set_num_threads(1)


def refused(text, where="r.toml"):
    with pytest.raises(RecipeError) as caught:
        recipes.parse(text, where)
    return str(caught.value)


def step(do, options=""):
    return f'[[step]]\ndo = "{do}"\n{options}\n'


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_of_the_package_are_sound(name):
    found = recipes.load(name)
    assert found.steps and found.seed == 0
    recipes.check(found, tiny_models.image() if name == "lossless" else trained())
    assert recipes.from_dict(found.to_dict()).to_dict() == found.to_dict()


def test_each_step_is_found_by_its_file():
    assert {"prune", "share", "fine-tune", "quantize", "lossless", "channels", "distil"} <= set(kinds())
    assert "base" not in kinds() and "training" not in kinds()
    for do in kinds():
        assert kind_of(do).model_fields is not None and kind_of(do).__doc__


def test_options_arrive():
    options = 'how = "iterative"\nrounds = 2\nsparsity = {"*" = 0.5, linear = 0.9}\nepochs = 3'
    text = "seed = 7\n" + step("prune", options)
    found = recipes.parse(text)
    [prune] = found.steps
    assert (found.seed, prune.do, prune.how, prune.rounds, prune.epochs) == (7, "prune", "iterative", 2, 3)
    assert list(prune.sparsity.items()) == [("*", 0.5), ("linear", 0.9)]
    assert found.label(1) == "step 1 (prune)"


def test_a_file_and_what_is_none(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(step("lossless"))
    assert recipes.load(path).where == str(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        recipes.load(tmp_path / "none.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="UTF-8"):
        recipes.load(path)
    with pytest.raises(RecipeError, match=r"unknown.*Did you mean deep-compression\?"):
        recipes.load("deep-compresion")


@pytest.mark.parametrize(("text", "said"), [
    ("", "has no step"),
    ("seed = 1", "has no step"),
    ("step = []", "has no step"),
    ("[[step", "is not TOML"),
    ("step = 3", "no list of tables"),
    ("[step]\ndo = 'prune'", "no list of tables"),
    ("sead = 1\n" + step("lossless"), "r.toml: sead: unknown key. Allowed: seed, step. Did you mean seed?"),
    ("seed = -1\n" + step("lossless"), "seed: is -1"),
    ("seed = true\n" + step("lossless"), "seed: is True"),
    ("[[step]]\nsparsity = 0.5", "step 1, do: this key is missing"),
    (step("lossless") + step("prunes"), "step 2, do: unknown step 'prunes'. Allowed: channels, distil, "),
    (step("prunes"), "Did you mean prune?"),
    ("[[step]]\ndo = 3", "step 1, do: unknown step 3"),
    (step("prune", "sparsty = 0.5"), "step 1 (prune), sparsty: unknown key. Allowed: batch, block, clip, distil, "),
    (step("prune", "sparsty = 0.5"), "Did you mean sparsity?"),
    (step("prune", "sparsity = 1.0"), "step 1 (prune), sparsity: is 1.0; allowed: at least 0 and below 1"),
    (step("prune", "sparsity = -0.1"), "sparsity: is -0.1; allowed"),
    (step("prune", "sparsity = nan"), "sparsity: is nan; allowed"),
    (step("prune", 'sparsity = {conv = 2.0}'), "sparsity: is 2.0; allowed"),
    (step("prune", 'sparsity = "much"'), "sparsity: is 'much'"),
    (step("prune", "sparsity = true"), "sparsity: is True"),
    (step("prune"), "takes one of sparsity and n_of_m"),
    (step("prune", "sparsity = 0.5\nn_of_m = [2, 4]"), "takes one of sparsity and n_of_m"),
    (step("prune", "n_of_m = [4, 4]"), "n_of_m is [4, 4]"),
    (step("prune", "n_of_m = [2, 4, 8]"), "step 1 (prune), n_of_m"),
    (step("prune", "sparsity = 0.5\nblock = [0, 1]"), "block is [0, 1]"),
    (step("prune", "sparsity = 0.5\nrounds = 2"), "rounds is given with how = 'one-shot'; allowed: iterative"),
    (step("prune", 'sparsity = 0.5\nhow = "slowly"'), "how: is 'slowly'. Allowed: Input should be 'one-shot', "),
    (step("prune", 'sparsity = 0.5\nhow = "gradual"\nepochs = 0'), "epochs is 0"),
    (step("prune", 'sparsity = {"*" = 0.5}\nscope = "global"'), "ranks layers together only"),
    (step("prune", "sparsity = 0.5\nepochs = -1"), "epochs: is -1"),
    (step("prune", "sparsity = 0.5\nepochs = 1.5"), "epochs: is 1.5"),
    (step("prune", "sparsity = 0.5\nlearning_rate = 0.0"), "learning_rate: is 0.0"),
    (step("prune", "sparsity = 0.5\nlearning_rate = inf"), "learning_rate: is inf"),
    (step("prune", "sparsity = 0.5\ndistil = {temperature = 0.0}"), "distil.temperature: is 0.0"),
    (step("prune", "sparsity = 0.5\ndistil = {temp = 1.0}"), "distil.temp: unknown key. Allowed: hard, labels, soft, "),
    (step("share", "entries = 1"), "entries: is 1; allowed: 2 to 256"),
    (step("share", "entries = 300"), "entries: is 300"),
    (step("share", "entries = {conv = 1}"), "entries: is 1"),
    (step("share", "groups = 0"), "groups: is 0"),
    (step("quantize", "weight_bits = 3"), "weight_bits is 3; allowed: 8, 4 or 2"),
    (step("quantize", "epochs = 4"), 'epochs is given with how = "post-training"; allowed: "aware"'),
    (step("quantize", 'how = "aware"\nrounding = "learned"'), 'rounding is given with how = "aware"'),
    (step("quantize", "activation_bits = 4"), "activation_bits: is 4"),
    (step("channels"), "takes one of ratio, keep_macs and keep_weights"),
    (step("channels", "ratio = 1.0"), "ratio: is 1.0; allowed"),
    (step("channels", "keep_macs = 0.0"), "keep_macs: is 0.0"),
    (step("channels", "ratio = 0.5\nstrength = 1e-3"), 'strength is given with first = "nothing"'),
    (step("distil", "labels = 0.0\nsoft = 0.0"), "every part of the loss is 0"),
    (step("distil", 'layers = [["a", "b"]]'), "layers go with features or attention"),
    (step("distil", "features = 1.0"), "layers go with features or attention"),
    (step("distil", 'features = 1.0\nlayers = [["a"]]'), "step 1 (distil), layers: is ['a']. Allowed: more values"),
    (step("prune", "n_of_m = [2]"), "n_of_m: is [2]. Allowed: more values"),
    (step("prune", "sparsity = {}"), "sparsity: names no layer"),
    (step("prune", 'sparsity = 0.5\nhow = "iterative"\nrounds = 100000000'), "rounds: is 100000000. Allowed: "),
    (step("prune", '"bad\\nkey\\u001b[31m" = 1'), r"'bad\nkey\x1b[31m': unknown key"),
    (step("share", "entries = {}"), "entries: names no layer"),
    (step("share", 'soft = "mixture"'), "soft is 'mixture' with soft_epochs = 0"),
    (step("share", "soft_epochs = 1\nzeros = 0.5"), 'zeros is given with soft = "k-means"; allowed: "mixture"'),
    (step("share", 'soft_epochs = 1\nsoft = "mixture"\nzeros = 1.0'), "zeros: is 1.0"),
    (step("gate"), "density: this key is missing"),
    (step("gate", "density = 0.5\nlayers = []"), "layers: is []. Allowed: list should have at least 1 item"),
    (step("tie", 'layers = "*"'), "layers: is '*'. Allowed: Input should be a valid list"),
    (step("quantize", "weight_bits = 4\nactivation_bits = 16"), "weight_bits is 4 with activation_bits = 16"),
    (step("fine-tune", 'distil = "input"'), "distil: is 'input'. Allowed: Input should be a valid table"),
    (step("fine-tune", "distil = {temperature = inf}"), "distil.temperature: is inf"),
    (step("fine-tune", "distil = {labels = 0.0, soft = 0.0}"), "distil: every part of the loss is 0"),
])  # fmt: skip
def test_what_is_refused(text, said):
    assert said in refused(text), refused(text)


def test_problems_are_counted():
    assert "2 more problems in this step" in refused(step("prune", "sparsity = 0.5\na = 1\nb = 2\nc = 3"))


def problem(text, graph):
    with pytest.raises(IntaglioError) as caught:
        recipes.check(recipes.parse(text, "r.toml"), graph)
    return caught.value


def test_steps_that_cannot_follow_each_other():
    quantize, prune = step("quantize"), step("prune", "sparsity = 0.5")
    found = problem(prune, tiny_models.image())
    assert isinstance(found, RecipeError)
    assert "step 1 (prune): takes a float model, and the model is quantized" in str(found)
    assert "step 2 (prune): takes a float model, and the steps before make it quantized" in str(
        problem(quantize + prune, trained())
    )
    assert "Give the float model" in str(problem(prune, tiny_models.image()))
    assert "Put it before the step that quantizes" in str(problem(quantize + prune, trained()))
    found = problem(step("lossless"), trained())
    assert "takes a quantized model, and the model is float. Put a step quantize before it" in str(found)
    recipes.check(recipes.parse(prune + quantize + step("lossless")), trained())


@pytest.mark.parametrize(("text", "said"), [
    (step("prune", "sparsity = 0.5"), "Put prune before weights are shared"),
    (step("gate", "density = 0.5"), "takes weights that do not share values, and step 2 (share) makes them"),
    (step("tie", 'layers = ["linear", "linear_1"]'), "Put tie before weights are shared"),
    (step("quantize", "weight_bits = 4"), "weight_bits: cannot be with weights that share values"),
    (step("quantize", 'rounding = "learned"'), "rounding: cannot be with weights that share values"),
])  # fmt: skip
def test_what_shared_weights_do_not_go_with(text, said):
    assert said in str(problem(step("fine-tune") + step("share") + text, trained()))


def test_a_model_that_comes_with_shared_weights():
    module = GraphModule(trained())
    share(module, 8)
    shared = module.to_graph()
    found = problem(step("fine-tune") + step("quantize", "weight_bits = 4"), shared)
    assert "weight_bits: cannot be with weights that share values, and those of the model do" in str(found)


@pytest.mark.parametrize(("text", "said"), [
    (step("share", "groups = 100000"), "groups of 'conv2d': is 100000. Allowed: 1 to its 8 output channels"),
    (step("tie", 'layers = ["linear"]'), "name one layer with weights, linear. Allowed: two or more"),
    (step("tie", 'layers = ["linear", "linear_1"]'), "layers: differ"),
    (step("channels", "keep_macs = 1e-9"), "macs: 0 is out of reach"),
    (step("channels", "ratio = {linear_1 = 0.5}"), "'linear_1' names a layer that cannot be cut"),
    (step("channels", 'ratio = 0.5\nfirst = "slimming"'), "first: is 'slimming', and the model has no batch norm"),
    (step("channels", 'ratio = 0.5\nimportance = "batch-norm-scale"'), "is 'batch-norm-scale', and the model has no"),
    (step("distil", 'features = 1.0\nlayers = [["linaer", "linear"]]'), "no layer is called 'linaer'"),
    (step("quantize", 'keep_float = ["*"]'), "keep_float: names every layer with weights"),
])  # fmt: skip
def test_what_the_model_does_not_allow_is_told_of_before_anything_is_trained(text, said):
    assert said in str(problem(step("fine-tune") + text, trained()))


@pytest.mark.parametrize("text", [
    step("prune", "sparsity = {linaer = 0.5}"),
    step("share", "entries = {linaer = 4}"),
    step("share", "groups = {linaer = 4}"),
    step("channels", "ratio = {linaer = 0.5}"),
    step("quantize", 'keep_float = ["linaer"]'),
    step("quantize", "weight_bits = {linaer = 4}"),
])  # fmt: skip
def test_layers_that_are_not_there_are_told_of_before_anything_is_trained(text):
    found = problem(step("fine-tune") + text, trained())
    assert isinstance(found, DataError)
    assert "no layer is called 'linaer'. Allowed: linear" in str(found) and "step 2" in str(found)
