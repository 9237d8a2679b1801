"""Makes the small Keras models of tests/keras, with TensorFlow, in a venv of its own: nothing else here needs it.

    python3 -m venv keras && keras/bin/pip install tensorflow==2.21.0
    keras/bin/python scripts/make_keras_models.py            # all, or the names given as arguments

A file is NETWORK-BATCH-MODE.tflite. The batch is `any` (Keras's default, None) or `one` (keras.Input(batch_size=1)).
The mode says what the converter was asked for: float, dynamic (range), float16, int8, uint8 (inputs and outputs),
border (int8 inside, float32 outside) or int16 (16x8). Weights are drawn from a seed: the same version of TensorFlow
gives the same files.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

import keras
from keras import layers as kl

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "keras"
CALIBRATION = 32
Build = Callable[[object], object]


def flatten(x):
    x = kl.Conv2D(6, 3, activation="relu")(x)
    x = kl.MaxPooling2D()(x)
    x = kl.Flatten()(x)
    return kl.Dense(5, activation="softmax")(x)


def reshape(x):
    x = kl.Dense(24, activation="relu")(x)
    x = kl.Reshape((4, 3, 2))(x)
    x = kl.Conv2D(4, 2, padding="same")(x)
    return kl.Reshape((-1,))(x)


def dense3d(x):
    x = kl.Dense(7, activation="relu")(x)
    return kl.Dense(4)(x)


def dense4d(x):
    return kl.Dense(4, activation="relu")(x)


def conv1d(x):
    x = kl.Conv1D(6, 5, activation="relu")(x)
    x = kl.MaxPooling1D(2)(x)
    x = kl.Conv1D(8, 3, padding="same", strides=2, activation="relu")(x)
    x = kl.GlobalAveragePooling1D()(x)
    return kl.Dense(4)(x)


def dilated1d(x):
    """A temporal convolutional network: causal, dilated, residual."""
    y = kl.Conv1D(5, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    y = kl.Conv1D(5, 3, padding="causal", dilation_rate=4)(y)
    y = kl.Add()([y, kl.Conv1D(5, 1)(x)])
    y = kl.Activation("relu")(y)
    y = kl.Conv1D(3, 2, dilation_rate=3)(y)
    return kl.Flatten()(y)


def dilated2d(x):
    x = kl.Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = kl.Conv2D(4, (3, 2), dilation_rate=(3, 2))(x)
    return kl.Conv2D(3, 3, padding="same", dilation_rate=(1, 2), use_bias=False)(x)


def dilated_depthwise(x):
    x = kl.DepthwiseConv2D(3, padding="same", dilation_rate=2, depth_multiplier=2)(x)
    x = kl.BatchNormalization()(x)
    x = kl.ReLU(6.0)(x)
    return kl.DepthwiseConv2D(3, dilation_rate=3, padding="valid")(x)


def transposed(x):
    x = kl.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    return kl.Conv2DTranspose(2, 2, strides=(1, 2), padding="valid")(x)


def transposed1d(x):
    x = kl.Conv1DTranspose(4, 4, strides=2, padding="same")(x)
    return kl.Activation("tanh")(x)


def separable(x):
    x = kl.SeparableConv2D(6, 3, padding="same", use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    x = kl.ReLU()(x)
    x = kl.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = kl.BatchNormalization()(x)
    x = kl.ReLU(6.0)(x)
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(3, activation="sigmoid")(x)


def residual(x):
    y = kl.Conv2D(4, 3, padding="same", activation="relu")(x)
    z = kl.Conv2D(4, 3, padding="same")(y)
    z = kl.BatchNormalization()(z)
    y = kl.ReLU()(kl.Add()([y, z]))
    y = kl.AveragePooling2D(2)(y)
    y = kl.Flatten()(y)
    return kl.Dense(4, activation="softmax")(y)


def unet(x):
    a = kl.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = kl.MaxPooling2D()(a)
    b = kl.Conv2D(6, 3, padding="same", activation="relu")(b)
    c = kl.Conv2DTranspose(4, 2, strides=2, padding="same")(b)
    d = kl.Concatenate()([a, c])
    d = kl.Conv2D(4, 3, padding="same", activation="relu")(d)
    return kl.Conv2D(1, 1, activation="sigmoid")(d)


def upsampling(x):
    x = kl.Conv2D(3, 3, padding="same")(x)
    y = kl.UpSampling2D(2, interpolation="bilinear")(x)
    z = kl.UpSampling2D(2)(x)
    return kl.Concatenate()([y, z])


def padding(x):
    x = kl.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = kl.Conv2D(4, 3, strides=2)(x)
    x = kl.LeakyReLU(negative_slope=0.2)(x)
    return kl.Cropping2D(((1, 0), (0, 1)))(x)


def time_dense(x):
    x = kl.TimeDistributed(kl.Dense(6, activation="relu"))(x)
    return kl.TimeDistributed(kl.Dense(3))(x)


def time_conv(x):
    x = kl.TimeDistributed(kl.Conv2D(3, 3, activation="relu"))(x)
    x = kl.TimeDistributed(kl.Flatten())(x)
    return kl.Dense(4)(x)


def squeeze_excite(x):
    x = kl.Conv2D(6, 3, padding="same", activation="relu")(x)
    s = kl.GlobalAveragePooling2D(keepdims=True)(x)
    s = kl.Dense(3, activation="relu")(s)
    s = kl.Dense(6, activation="sigmoid")(s)
    x = kl.Multiply()([x, s])
    x = kl.GlobalMaxPooling2D()(x)
    return kl.Dense(3)(x)


def activations(x):
    a = kl.Dense(6, activation="tanh")(x)
    b = kl.Dense(6, activation="sigmoid")(x)
    c = kl.PReLU()(kl.Dense(6)(x))
    d = kl.Activation("elu")(kl.Dense(6)(x))
    return kl.Dense(4)(kl.Concatenate()([kl.Multiply()([a, b]), kl.Maximum()([c, d]), kl.Subtract()([a, d])]))


def permuted(x):
    x = kl.Permute((2, 1))(x)
    x = kl.Dense(5, activation="relu")(x)
    x = kl.Permute((2, 1))(x)
    x = kl.Flatten()(x)
    return kl.Dense(3)(x)


def repeated(x):
    x = kl.Dense(6, activation="relu")(x)
    x = kl.RepeatVector(4)(x)
    x = kl.Conv1D(3, 2)(x)
    return kl.Flatten()(x)


def normalized(x):
    x = kl.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = kl.LayerNormalization()(x)
    x = kl.Flatten()(x)
    return kl.Dense(3)(x)


def patches(x):
    """Dense on patches: Reshape and Permute that mix batch-free dimensions, then an average over tokens."""
    x = kl.Reshape((4, 2, 4, 2, 1))(x)
    x = kl.Permute((1, 3, 2, 4, 5))(x)
    x = kl.Reshape((16, 4))(x)
    x = kl.Dense(6, activation="relu")(x)
    x = kl.GlobalAveragePooling1D()(x)
    return kl.Dense(3, activation="softmax")(x)


def stacked(x):
    """keras.ops on shapes taken from the tensor, as hand-written layers do it."""
    a, b = kl.Conv1D(4, 3, padding="same")(x), kl.Conv1D(4, 3, padding="same", activation="relu")(x)
    both = kl.Lambda(lambda t: tf.stack(t, axis=2))([a, b])
    first = kl.Lambda(lambda t: tf.unstack(t, axis=1)[0])(both)
    rest = kl.Lambda(lambda t: tf.reshape(t, [tf.shape(t)[0], -1]))(both)
    return kl.Concatenate()([kl.Flatten()(first), rest])


def wide(x):
    """Weights of more than 1,024 elements, below which the converter leaves them as floats in dynamic range."""
    x = kl.Dense(48, activation="relu")(x)
    x = kl.Reshape((4, 4, 3))(x)
    x = kl.Conv2D(40, 3, activation="relu")(x)
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(30)(x)


def lstm_unrolled(x):
    """Begins with a FILL of zeros; without `unroll` it would be a WHILE."""
    return kl.Dense(3)(kl.LSTM(4, unroll=True)(x))


def deeplab(x):
    """Atrous spatial pyramid pooling."""
    x = kl.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    near = kl.SeparableConv2D(3, 3, dilation_rate=2, padding="same")(x)
    far = kl.Conv2D(3, 3, dilation_rate=3, padding="same", activation="relu")(x)
    every = kl.Conv2D(3, 1)(kl.GlobalAveragePooling2D(keepdims=True)(x))
    x = kl.Concatenate()([kl.Conv2D(3, 1)(x), near, far, kl.UpSampling2D(4)(every)])
    return kl.UpSampling2D(2, interpolation="bilinear")(kl.Conv2D(2, 1)(x))


def mobilenet(x):
    """Inverted residuals, with the scaling of pixels in front."""
    x = kl.Rescaling(1 / 127.5, offset=-1)(x)
    x = kl.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = kl.Conv2D(4, 3, strides=2, activation="relu")(x)
    for channels, stride in ((4, 1), (6, 2)):
        y = kl.Conv2D(8, 1, use_bias=False)(x)
        y = kl.ReLU(6.0)(kl.BatchNormalization()(y))
        y = kl.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
        y = kl.ReLU(6.0)(kl.BatchNormalization()(y))
        y = kl.BatchNormalization()(kl.Conv2D(channels, 1, use_bias=False)(y))
        x = kl.Add()([x, y]) if y.shape == x.shape else y
    x = kl.Dropout(0.2)(kl.GlobalAveragePooling2D()(x))
    return kl.Dense(3, activation="softmax")(x)


def two_inputs(x):
    y = kl.Input((6,), batch_size=x.shape[0], name="other")
    z = kl.Concatenate()([kl.Flatten()(x), kl.Dense(4, activation="relu")(y)])
    return [x, y], [kl.Dense(3)(z), kl.Dense(2, activation="softmax")(z)]


NETWORKS: dict[str, tuple[tuple[int, ...], Build]] = {
    "flatten": ((10, 10, 1), flatten),
    "reshape": ((8,), reshape),
    "dense3d": ((6, 5), dense3d),
    "dense4d": ((3, 4, 5), dense4d),
    "conv1d": ((24, 3), conv1d),
    "dilated1d": ((24, 3), dilated1d),
    "dilated2d": ((14, 13, 2), dilated2d),
    "dilated_depthwise": ((13, 14, 2), dilated_depthwise),
    "transposed": ((5, 6, 3), transposed),
    "transposed1d": ((8, 3), transposed1d),
    "separable": ((12, 12, 3), separable),
    "residual": ((8, 8, 3), residual),
    "unet": ((8, 8, 1), unet),
    "upsampling": ((5, 4, 3), upsampling),
    "padding": ((9, 10, 2), padding),
    "time_dense": ((5, 4), time_dense),
    "time_conv": ((3, 6, 6, 1), time_conv),
    "squeeze_excite": ((6, 6, 3), squeeze_excite),
    "activations": ((8,), activations),
    "permuted": ((6, 4), permuted),
    "repeated": ((5,), repeated),
    "normalized": ((5, 5, 2), normalized),
    "patches": ((8, 8, 1), patches),
    "stacked": ((6, 3), stacked),
    "two_inputs": ((4, 3), two_inputs),
    "wide": ((30,), wide),
    "lstm_unrolled": ((4, 3), lstm_unrolled),
    "deeplab": ((8, 8, 3), deeplab),
    "mobilenet": ((16, 16, 3), mobilenet),
}
FILES = {
    "flatten": "any-float any-int8 any-uint8 any-int16 any-dynamic any-float16 any-border one-int8",
    "reshape": "any-float any-int8 any-int16 one-uint8",
    "dense3d": "any-float any-int8 any-int16 any-dynamic one-int8",
    "dense4d": "any-float any-int8",
    "conv1d": "any-float any-int8 any-int16 any-dynamic any-float16",
    "dilated1d": "any-float any-int8 any-int16 any-float16 one-int8",
    "dilated2d": "any-float any-int8 any-uint8 any-int16 any-dynamic one-int8",
    "dilated_depthwise": "any-float any-int8 any-int16",
    "transposed": "any-float any-int8 any-int16 any-float16 one-int8",
    "transposed1d": "any-float any-int8",
    "separable": "any-float any-int8 any-uint8 any-int16",
    "residual": "any-int8 any-uint8 any-float16 one-float",
    "unet": "any-float any-int8 any-border",
    "upsampling": "any-float any-int8 one-int8",
    "padding": "any-float any-int8 any-int16",
    "time_dense": "any-float any-int8 any-int16 one-int8",
    "time_conv": "any-float one-float one-int8",
    "squeeze_excite": "any-float any-int8 any-dynamic",
    "activations": "any-float any-int8 any-border",
    "permuted": "any-float any-int8",
    "repeated": "any-float any-int8",
    "normalized": "any-float any-float16",
    "patches": "any-float any-int8",
    "stacked": "any-float any-int8 any-int16",
    "wide": "any-dynamic any-float16",
    "two_inputs": "any-float any-int8 one-uint8",
    "lstm_unrolled": "any-float any-int8",
    "deeplab": "any-float any-int8",
    "mobilenet": "any-float any-int8 any-int16",
}


def network(name: str, batch: int | None) -> keras.Model:
    """The model with drawn weights; biases and batch norms too, which Keras begins with zeros and ones."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    shape, build = NETWORKS[name]
    x = kl.Input(shape, batch_size=batch)
    y = build(x)
    inputs, outputs = y if isinstance(y, tuple) else (x, y)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(7)
    for w in model.weights:
        if len(w.shape) == 1 or "p_re_lu" in w.path:
            low, high = (0.5, 1.5) if w.name in ("gamma", "moving_variance") else (-0.3, 0.3)
            w.assign(rng.uniform(low, high, w.shape))
    return model


def converted(model: keras.Model, mode: str) -> bytes:
    """The .tflite of a model."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if mode == "float":
        return converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "dynamic":
        return converter.convert()
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()
    rng = np.random.default_rng(9)
    shapes = {x.name: [d or 1 for d in x.shape] for x in model.inputs}
    rows = [{k: rng.uniform(-1, 1, s).astype(np.float32) for k, s in shapes.items()} for _ in range(CALIBRATION)]
    if len(shapes) == 1:
        rows = [list(row.values()) for row in rows]
    converter.representative_dataset = lambda: iter(rows)
    if mode == "int16":
        ops = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.inference_input_type = converter.inference_output_type = tf.int16
    else:
        ops = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        kind = {"int8": tf.int8, "uint8": tf.uint8, "border": tf.float32}[mode]
        converter.inference_input_type = converter.inference_output_type = kind
    converter.target_spec.supported_ops = [ops]
    return converter.convert()


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, kinds in FILES.items():
        for kind in kinds.split():
            file = f"{name}-{kind}.tflite"
            if wanted and name not in wanted and file not in wanted:
                continue
            batch, mode = kind.split("-")
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the converter talks a lot
                data = converted(network(name, None if batch == "any" else 1), mode)
            (FOLDER / file).write_bytes(data)
            print(f"{file}: {len(data):,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
