"""Ours and its peers side by side: for every batch size each program runs in turn, several rounds, so that
whatever else the machine does falls on all of them; the table takes the median of the rounds, and of a
program that ran with several thread counts the best. --bench says what is compared."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PEERS = os.path.dirname(os.path.abspath(__file__))
BENCHES = {
    "iteration": {
        "heading": "GAN iteration beside its peers", "unit": "an iteration", "pytorch": "gan_pytorch.py",
        "jax": "gan_jax.py", "rows": "batch", "batches": "1,10,32,64,100,256"},
    "attack": {
        "heading": "Attack steps beside PyTorch",
        "unit": "a step (7500-256-256-2, L-infinity, weights frozen, gradient by the pixels alone; of PGD in "
                "attacks of 20 steps, of FGSM in attacks of one)",
        "pytorch": "pgd_pytorch.py", "jax": None, "rows": "attack, batch",
        "per_second": "steps/s", "batches": "1,64"},
}


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else "unknown processor"


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run_ours(command, batch, device, threads, seconds):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines.json")
        subprocess.run([command, "--device", device, "--batches", str(batch), "--threads", str(threads),
                        "--seconds", str(seconds), "--json", path],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            return json_lines(file.read())


def run_peer(arguments, batch, device, seconds):
    """The peer's lines, or None when it cannot run here; it says why on stderr."""
    done = subprocess.run(arguments + ["--device", device, "--batches", str(batch),
                                       "--seconds", str(seconds)],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        if done.returncode != 77:
            print(f"{' '.join(arguments)}: failed with {done.returncode}", file=sys.stderr)
        return None
    return json_lines(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", default="iteration", choices=BENCHES)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out")
    options = parser.parse_args()

    bench = BENCHES[options.bench]
    torch = [options.python, os.path.join(PEERS, bench["pytorch"])]
    cpu = options.device == "cpu"
    # A program by name, and the ways to run it of which the best counts.
    programs = {
        "PyTorch eager": [torch + ["--threads", n] for n in ("1", "2")] if cpu else [torch],
    }
    if bench["jax"]:
        programs["PyTorch compiled"] = [] if cpu else [torch + ["--compiled"]]
        programs["JAX jit"] = [[options.python, os.path.join(PEERS, bench["jax"])]]
    ours_threads = [1, 2] if cpu else [0]
    columns, described, skipped = [bench["rows"], "ours ms"], {}, set()
    if "per_second" in bench:
        columns.append(f"ours {bench['per_second']}")
    rows, losses = [], []
    for batch in map(int, (options.batches or bench["batches"]).split(",")):
        times, early = {}, {}  # times: [what was timed][program][variant]

        def record(name, variant, lines):
            for line in lines:
                case = times.setdefault(line.get("method", ""), {})
                case.setdefault(name, {}).setdefault(variant, []).append(line["ms"])
                if "losses" in line:
                    early[name] = line["losses"]

        for _ in range(options.rounds):
            for threads in ours_threads:
                lines = run_ours(options.ours, batch, options.device, threads, options.seconds)
                record("ours", threads, lines)
                described["ours"] = f"patchforge {lines[0]['commit']} on {lines[0]['device']}"
            for name, variants in programs.items():
                for number, arguments in enumerate(variants):
                    if (name, number) in skipped:
                        continue
                    lines = run_peer(arguments, batch, options.device, options.seconds)
                    if lines is None:
                        skipped.add((name, number))
                        continue
                    record(name, number, lines)
                    described[name] = lines[0]["program"]
        for method, case in times.items():
            best = {name: min(statistics.median(values) for values in variants.values())
                    for name, variants in case.items()}
            row = [f"{method} {batch}".strip(), f"{best['ours']:.3f}"]
            if "per_second" in bench:
                row += [f"{1e3 / best['ours']:.0f}"]
            for name in programs:
                if name in best:
                    if f"{name} ms" not in columns:
                        columns += [f"{name} ms", "times faster"]
                    row += [f"{best[name]:.3f}", f"{best[name] / best['ours']:.1f}"]
            rows.append(row)
            print("  ".join(row), file=sys.stderr)
        if early:
            losses.append(f"| {batch} | " + ", ".join(
                f"{name} {d:.2f} / {g:.2f}" for name, (d, g) in early.items()) + " |\n")
    if len(described) == 1:
        print("compare.py: no peer could run here (python3 without torch and without jax?); "
              "nothing to compare", file=sys.stderr)
        return
    page = (f"# {bench['heading']}\n\nMilliseconds {bench['unit']}: same work, float32, alternating in one run; "
            + ("the best of 1 and 2 threads of each; " if cpu else "")
            + f"median of {options.rounds} rounds.\n\n"
            + "; ".join([*described.values(), processor()]) + ".\n\n"
            + "| " + " | ".join(columns) + " |\n"
            + "|" + "--:|" * len(columns) + "\n"
            + "".join("| " + " | ".join(row) + " |\n" for row in rows))
    if losses:
        page += ("\nThe same game, other random numbers: losses of D / G, mean of iterations 17 to 32.\n\n"
                 "| batch | losses |\n|--:|---|\n" + "".join(losses))
    print(page)
    if options.out:
        partial = options.out + ".partial"
        with open(partial, "w", encoding="utf-8") as file:
            file.write(page)
        os.replace(partial, options.out)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"compare.py: {' '.join(error.cmd)}: failed with {error.returncode}")
