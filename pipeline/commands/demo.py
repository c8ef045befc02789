"""`lutfuse demo`: writes a synthesised bracket, for a first run without photos."""

from collections.abc import Sequence

from lutfuse.models.synthetic.camera import synthesise_bracket
from lutfuse.pipeline.arguments import OK, add_scene_size, command_parser, whole_number
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.storage import files


def write_bracket(folder: str, *, width: int, height: int, seed: int) -> list[str]:
    """Write a synthesised bracket of three exposures and its reference.

    Args:
      folder: path or URI to write to: `ev-3.jpg`, `ev+0.jpg`, `ev+3.jpg` and `reference.png`.
      width: of the images, in px.
      height: of the images, in px.
      seed: of the random scene.

    Returns:
      The URIs written.
    """
    bracket = synthesise_bracket(width, height, seed=seed)
    images = {
        f"ev{ev:+g}.jpg": image_io.encode(pixels, format="jpeg", quality=97)
        for ev, pixels in zip(bracket.evs, bracket.exposures, strict=True)
    }
    images["reference.png"] = image_io.encode(bracket.reference, format="png")
    written = []
    for name, data in images.items():
        written.append(files.join(folder, name))
        files.write_bytes(written[-1], data)
    return written


def main(argv: Sequence[str]) -> int:
    """Run `lutfuse demo ARGV` and return its exit code."""
    parser = command_parser(
        "demo",
        description="Write a synthesised bracket (an interior with a bright window; three exposures and a "
        "reference)\nthat 'lutfuse fuse' can fuse.",
    )
    parser.add_argument(
        "--output", required=True, metavar="URI", help="folder in which the bracket's folder is created"
    )
    add_scene_size(parser)
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=0,
        help="seed of the random scene (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    folder = files.join(args.output, f"interior-{args.seed}")
    print(f"rendering a {args.width}x{args.height} bracket ...", flush=True)
    for uri in write_bracket(folder, width=args.width, height=args.height, seed=args.seed):
        print(f"wrote {uri}")
    return OK
