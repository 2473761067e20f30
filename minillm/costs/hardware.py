"""What a device can do on paper: dense fp16/bf16 peak, memory, and how it talks to its neighbours.

Data-sheet figures, not measurements. What of them is achieved is the cost model's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from minillm.config import ConfigError, closest

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One device. `flops` per second, dense fp16 or bf16; bandwidths in bytes per second and per
    direction: of its memory, of the link to the next device, of the link to the host; `memory` in
    bytes. `bus_bandwidth` is what an all-reduce achieves over the link (as NCCL counts it)."""

    name: str
    flops: float
    bandwidth: float
    memory: int
    link: str
    link_bandwidth: float
    bus_bandwidth: float
    host_bandwidth: float

    @property
    def ridge(self) -> float:
        """The intensity (operations per byte) above which work is compute-bound."""
        return self.flops / self.bandwidth


def _row(
    name: str,
    tflops: float,
    gb_per_s: float,
    gib: float,
    link: str,
    link_gb_per_s: float,
    host_gb_per_s: float,
    bus_gb_per_s: float | None = None,
) -> Hardware:
    return Hardware(
        name=name,
        flops=tflops * 1e12,
        bandwidth=gb_per_s * 1e9,
        memory=round(gib * GIB),
        link=link,
        link_bandwidth=link_gb_per_s * 1e9,
        bus_bandwidth=(bus_gb_per_s or link_gb_per_s / 2) * 1e9,
        host_bandwidth=host_gb_per_s * 1e9,
    )


# Vendors print NVLink as the sum of both directions (600, 900) and, for Hopper, the sparse peak
# (1979); here is one direction and the dense peak. An "80 GB" device has 80 GiB. The bus bandwidth
# is measured on A100 (136 to 158 GB/s at 32 MB) and H100 (247 to 302), elsewhere half the link.
# "cpu" is a fixed row for a laptop, so that a simulated run is the same everywhere.
HARDWARE: dict[str, Hardware] = {
    row.name: row
    for row in (
        _row("a100-40gb", 312, 1555, 40, "NVLink 3", 300, 32, 147),
        _row("a100-80gb", 312, 2039, 80, "NVLink 3", 300, 32, 147),
        _row("h100-sxm", 989, 3350, 80, "NVLink 4", 450, 64, 275),
        _row("h200-sxm", 989, 4800, 141, "NVLink 4", 450, 64, 275),
        _row("a6000", 154.8, 768, 48, "PCIe 4", 32, 32),
        _row("a40", 149.7, 696, 48, "PCIe 4", 32, 32),
        _row("a10", 125, 600, 24, "PCIe 4", 32, 32),
        _row("rtx4090", 165, 1008, 24, "PCIe 4", 32, 32),
        _row("t4", 65, 320, 16, "PCIe 3", 16, 16),
        _row("cpu", 1, 38, 16, "memory", 38, 38),
    )
}


def get_hardware(hardware: str | Hardware) -> Hardware:
    """A device by name, or the one given. An unknown name is a ConfigError listing the known."""
    if isinstance(hardware, Hardware):
        return hardware
    if hardware not in HARDWARE:
        raise ConfigError(
            f"unknown hardware {hardware!r}.{closest(hardware, HARDWARE)} "
            f"Known: {', '.join(HARDWARE)}."
        )
    return HARDWARE[hardware]
