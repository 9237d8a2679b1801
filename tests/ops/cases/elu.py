"""ELU; TFLite has it with alpha 1 alone."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.elu import Elu

CASES = (
    Cases(Elu, unary(Elu())),
    Cases(Elu, unary(Elu(0.3)), label="elu_alpha", oracle=False),
)
