"""Ours and its peers side by side: for every batch size each program runs in turn, several rounds, so that
whatever else the machine does falls on all of them; the table takes the median of the rounds, and of a
program that ran with several thread counts the best."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PEERS = os.path.dirname(os.path.abspath(__file__))


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run_ours(command, batch, device, threads, seconds):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines.json")
        subprocess.run([command, "--device", device, "--batches", str(batch), "--threads", str(threads),
                        "--seconds", str(seconds), "--json", path],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            return json_lines(file.read())[0]


def run_peer(arguments, batch, device, seconds):
    """The peer's line, or None when it cannot run here; it says why on stderr."""
    done = subprocess.run(arguments + ["--device", device, "--batches", str(batch),
                                       "--seconds", str(seconds)],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        if done.returncode != 77:
            print(f"{' '.join(arguments)}: failed with {done.returncode}", file=sys.stderr)
        return None
    return json_lines(done.stdout)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", default="1,10,32,64,100,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out")
    options = parser.parse_args()

    torch = [options.python, os.path.join(PEERS, "gan_pytorch.py")]
    jax = [options.python, os.path.join(PEERS, "gan_jax.py")]
    cpu = options.device == "cpu"
    # A program by name, and the ways to run it of which the best counts.
    programs = {
        "PyTorch eager": [torch + ["--threads", n] for n in ("1", "2")] if cpu else [torch],
        "PyTorch compiled": [] if cpu else [torch + ["--compiled"]],
        "JAX jit": [jax],
    }
    ours_threads = [1, 2] if cpu else [0]
    columns = ["batch", "ours ms"]
    rows, described, skipped, losses = [], {}, set(), []
    for batch in map(int, options.batches.split(",")):
        times, early = {}, {}
        for _ in range(options.rounds):
            for threads in ours_threads:
                line = run_ours(options.ours, batch, options.device, threads, options.seconds)
                times.setdefault("ours", {}).setdefault(threads, []).append(line["ms"])
                early["ours"] = line["losses"]
                described["ours"] = f"patchforge {line['commit']} on {line['device']}"
            for name, variants in programs.items():
                for number, arguments in enumerate(variants):
                    if (name, number) in skipped:
                        continue
                    line = run_peer(arguments, batch, options.device, options.seconds)
                    if line is None:
                        skipped.add((name, number))
                        continue
                    times.setdefault(name, {}).setdefault(number, []).append(line["ms"])
                    early[name] = line["losses"]
                    described[name] = line["program"]
        best = {name: min(statistics.median(values) for values in variants.values())
                for name, variants in times.items()}
        row = [str(batch), f"{best['ours']:.3f}"]
        for name in programs:
            if name in best:
                if f"{name} ms" not in columns:
                    columns += [f"{name} ms", "times faster"]
                row += [f"{best[name]:.3f}", f"{best[name] / best['ours']:.1f}"]
        rows.append(row)
        losses.append(f"| {batch} | " + ", ".join(
            f"{name} {d:.2f} / {g:.2f}" for name, (d, g) in early.items()) + " |\n")
        print("  ".join(row), file=sys.stderr)
    if len(columns) == 2:
        print("compare.py: no peer could run here (python3 without torch and without jax?); "
              "nothing to compare", file=sys.stderr)
        return
    page = ("# GAN iteration beside its peers\n\nMilliseconds an iteration, same work, float32, alternating in "
            "one run; "
            + ("the best of 1 and 2 threads of each; " if cpu else "")
            + f"median of {options.rounds} rounds.\n\n"
            + "; ".join(described.values()) + ".\n\n"
            + "| " + " | ".join(columns) + " |\n"
            + "|" + "--:|" * len(columns) + "\n"
            + "".join("| " + " | ".join(row) + " |\n" for row in rows)
            + "\nThe same game, other random numbers: losses of D / G, mean of iterations 17 to 32.\n\n"
            + "| batch | losses |\n|--:|---|\n" + "".join(losses))
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
