"""What a step costs without running it: hardware, model shapes, roofline, cost model."""

from minillm.costs.cost_model import RooflineCostModel, cost_model
from minillm.costs.hardware import HARDWARE, Hardware, get_hardware
from minillm.costs.shapes import MODELS, ModelShape, get_model

__all__ = [
    "HARDWARE",
    "MODELS",
    "Hardware",
    "ModelShape",
    "RooflineCostModel",
    "cost_model",
    "get_hardware",
    "get_model",
]
