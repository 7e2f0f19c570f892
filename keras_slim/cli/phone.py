"""`keras-slim phone`: what LiteRT files answer on your own phone, and how long they take there."""

import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, count, port
from keras_slim.cli.files import check_file, load_model, load_samples

DETAILS = f"""\
Prints an address and a QR code. Open it on a phone in the same network: its browser runs the files and sends back what
they answer and how long they take. Nothing is installed on the phone, and nothing leaves the network. The exit code is
1 where a phone does not answer like Keras, or without --model like LiteRT on this computer. Ctrl-C ends it with what
there is.

The browser's runtime, @litertjs/core, is fetched once from the npm registry (12 MB), checked by hash, and kept for you.
Browsers allow one thread and no WebGPU to pages by http; --https makes both possible, with a certificate made on the
spot, of which the phone warns.

{SAMPLES}
example:
  keras-slim phone dense.tflite pruned.tflite --model pruned.keras --data data.npz
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Run LiteRT files on your phone, in its browser"
    parser = add_command(subparsers, parents, "phone", summary, DETAILS, run)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .tflite file")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL.keras",
        help="whose answers are the right ones; once, or once for each file (default: LiteRT on this computer)",
    )
    add_data_option(parser, "samples to run (default: random ones)")
    parser.add_argument("--tolerance", type=float, metavar="DB", help="least signal-to-error ratio, in decibels")
    parser.add_argument("--phones", type=count, default=1, metavar="N", help="phones to wait for (default 1)")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds to wait at most (default: until Ctrl-C)")
    page = parser.add_argument_group("page")
    page.add_argument("--threads", type=count, default=1, metavar="N", help="threads to use, with --https (default 1)")
    page.add_argument("--https", action="store_true", help="serve by https, with a certificate made on the spot")
    page.add_argument("--runtime", metavar="DIR", help="folder with the files of @litertjs/core, to fetch nothing")
    page.add_argument("--address", metavar="IP", help="address of this computer to bind to (default: on the network)")
    page.add_argument("--port", type=port, default=0, metavar="N", help="port to listen at (default: a free one)")
    add_json_option(parser)


def run(args):
    """Waits for phones, and prints what they said."""
    from rich.console import Console

    from keras_slim.phone.measuring import PhoneServer, measure_on

    for path in args.files:
        check_file(path, "a LiteRT file")
    models = [load_model(path) for path in args.model]
    server = PhoneServer(
        args.files,
        models if len(models) > 1 else next(iter(models), None),
        load_samples(args.data, args.files[0], args.pixels)[0] if args.data else None,
        threads=args.threads,
        https=args.https,
        tolerance=args.tolerance,
        runtime=args.runtime,
        address=args.address,
        port=args.port,
    )
    report = measure_on(server, args.phones, args.timeout, Console(stderr=args.json))
    print(json.dumps(report.to_dict(), indent=1) if args.json else report)
    report.check()
