"""Where tensor pixels lie in the frame: `Box` and the mapping both ways."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels: ``x, y`` is its upper left pixel, ``width, height`` at least 1."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a box is at least 1x1, got {self.width}x{self.height}")

    @classmethod
    def of_size(cls, width: int, height: int) -> Self:
        """The box of a whole picture."""
        return cls(0, 0, width, height)

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Pixels in the box."""
        return self.width * self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array ``[H, W, ...]``."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def clipped_to(self, width: int, height: int) -> "Box | None":
        """The part inside a picture of that size, or None where they do not meet."""
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.right, width), min(self.bottom, height)
        return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the model's picture was cut out of the frame and stretched.

    Coordinates follow cv2.resize: the centre of pixel ``i`` lies at ``i + 0.5``.

    Attributes:
        frame_width: Width of the frame in pixels.
        frame_height: Height of the frame in pixels.
        region: Part of the frame that the model sees; it lies inside the frame.
        tensor_width: Width of the model's input in pixels.
        tensor_height: Height of the model's input in pixels.
    """

    frame_width: int
    frame_height: int
    region: Box
    tensor_width: int
    tensor_height: int

    def __post_init__(self) -> None:
        if self.region.clipped_to(self.frame_width, self.frame_height) != self.region:
            raise ValueError(f"{self.region} is not inside a frame of {self.frame_width}x{self.frame_height}")

    @property
    def scale_x(self) -> float:
        """Frame pixels per tensor pixel, across."""
        return self.region.width / self.tensor_width

    @property
    def scale_y(self) -> float:
        """Frame pixels per tensor pixel, down."""
        return self.region.height / self.tensor_height

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """A point of the tensor in the frame (continuous coordinates, pixel centres at one half)."""
        return self.region.x + x * self.scale_x, self.region.y + y * self.scale_y

    def to_tensor(self, x: float, y: float) -> tuple[float, float]:
        """A point of the frame in the tensor; the inverse of `to_frame`."""
        return (x - self.region.x) / self.scale_x, (y - self.region.y) / self.scale_y

    def box_to_frame(self, box: Box) -> Box:
        """The smallest box of whole frame pixels that covers a tensor box, inside the region."""
        return self.edges_to_frame((box.x, box.y, box.right, box.bottom))

    def edges_to_frame(self, edges: tuple[float, float, float, float]) -> Box:
        """The same for left, top, right and bottom edge anywhere between the tensor's pixels."""
        left, top = self.to_frame(edges[0], edges[1])
        right, bottom = self.to_frame(edges[2], edges[3])
        # the guard keeps float noise such as 12.000000000000002 from taking in one pixel more
        x, y = int(left + 1e-6), int(top + 1e-6)
        far_x = min(-int(-(right - 1e-6) // 1), self.region.right)
        far_y = min(-int(-(bottom - 1e-6) // 1), self.region.bottom)
        return Box(x, y, max(far_x - x, 1), max(far_y - y, 1))
