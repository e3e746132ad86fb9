"""One process of two threads beside two ranks of one thread, and the bytes that these send, as a page.

    bench/ranks.py [--program build/patchforge] [--out docs/measured/ranks.md] [--rounds 3] [--seconds 6]

The program's own training time (timing.json), at batch 64, patches of 3 x 50 x 50. The rounds are interleaved.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

CASES = [("multilayer perceptrons (default)", []), ("convolutions (--network light)", ["--network", "light"])]
WAYS = [("1 process of 2 threads, --shards 1", 1, 2, 1), ("1 process of 2 threads, --shards 2", 1, 2, 2),
        ("2 ranks of 1 thread, --shards 2", 2, 1, 2)]


def call(words):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       OMPI_MCA_hwloc_base_binding_policy="none")
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(" ".join(words) + "\n" + done.stdout + done.stderr)
    return done.stdout


def train(program, folder, case, way, steps):
    _, ranks, threads, shards = way
    run = folder / "run"
    subprocess.run(["rm", "-rf", str(run)], check=True)
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    said = call(launcher + [program, "train", "gan", "--data", str(folder / "set.pfs"), "--out", str(run), "--steps", str(steps),
                            "--batch-size", "64", "--device", "cpu", "--threads", str(threads), "--shards", str(shards),
                            "--log-interval", "1000000", "--sample-interval", "0", "--checkpoint-interval", "0"] + case[1])
    seconds = json.loads((run / "timing.json").read_text())["training_seconds"]
    sent = re.search(r"ranks sent (\d+) bytes", said)
    parameters = re.search(r"Discriminator: (\d+) parameters, generator: (\d+)", said)
    return seconds, int(sent.group(1)) if sent else 0, sum(int(number) for number in parameters.groups())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/patchforge")
    parser.add_argument("--out", default="docs/measured/ranks.md")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of a training")
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        call([options.program, "tissue", str(folder / "tissue"), "--patients", "8", "--patches", "80"])
        call([options.program, "pack", str(folder / "tissue"), "--out", str(folder / "set.pfs")])
        for case in CASES:
            few = 4
            seconds, _, parameters = train(options.program, folder, case, WAYS[0], few)
            steps = max(few, int(options.seconds / (seconds / few)))
            times = {way: [] for way in WAYS}
            sent = 0
            for _ in range(options.rounds):
                for way in WAYS:
                    seconds, bytes_sent, _ = train(options.program, folder, case, way, steps)
                    times[way].append(1000 * seconds / steps)
                    sent = max(sent, bytes_sent)
            base = statistics.median(times[WAYS[0]])
            for way in WAYS:
                middle = statistics.median(times[way])
                lines.append(f"| {case[0]} | {way[0]} | {middle:.2f} ({min(times[way]):.2f}–{max(times[way]):.2f}) "
                             f"| {middle / base:.2f} | {f'{sent / 1e6:.3f}' if way[1] > 1 else ''} "
                             f"| {f'{8 * parameters / 1e6:.3f}' if way[1] > 1 else ''} |")
    version = call([options.program, "--version"]).strip()
    model = re.search(r"model name.*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    page = f"""# Ranks beside threads

Written by bench/ranks.py with {version}, {datetime.date.today()}, on {os.cpu_count()} cores of
{model.group(1) if model else "an unknown CPU"}; median (least–most) of {options.rounds} interleaved rounds; the GAN iteration at batch 64, 3 x 50 x 50.
The formula is 2 (N - 1) x 4 bytes a parameter (docs/scale.md); what is sent besides is the padding of tensors and running statistics.
Ranks of one machine keep large perceptrons in memory that they share and send nothing of them; two machines send the formula's bytes.

| networks | who | ms an iteration | of the first | MB sent | formula, MB |
|---|---|--:|--:|--:|--:|
""" + "\n".join(lines) + "\n"
    pathlib.Path(options.out).write_text(page)
    print(page)


main()
