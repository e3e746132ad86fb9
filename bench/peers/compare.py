"""Ours and its peers side by side: for every batch size each program runs in turn, several rounds, so that
whatever else the machine does falls on all of them; the table takes the median of the rounds (least to most
in brackets), and of a program that ran with several thread counts the best. A ratio is the median of the
rounds' ratios. Where both sides play the same game with other random numbers, their early losses must agree
within LOSSES_AGREE_WITHIN, or the comparison fails. --bench says what is compared."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

LOSSES_AGREE_WITHIN = 0.1
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
            # What a user gets who asks for nothing.
            return [line for line in json_lines(file.read()) if line.get("way", "recorded") == "recorded"]


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out")
    parser.add_argument("--json", help="every round of every program, as JSON lines")
    options = parser.parse_args()

    bench = BENCHES[options.bench]
    torch = [options.python, os.path.join(PEERS, bench["pytorch"])]
    cpu = options.device == "cpu"
    # A program by name, and the ways to run it of which the best counts.
    programs = {
        "PyTorch eager": [torch + ["--threads", n] for n in ("1", "2")] if cpu else [torch],
    }
    if not cpu:
        programs["PyTorch compiled"] = [torch + ["--compiled"]]
    if bench["jax"]:
        programs["JAX jit"] = [[options.python, os.path.join(PEERS, bench["jax"])]]
    ours_threads = [1, 2] if cpu else [0]
    columns, described, skipped = [bench["rows"], "ours ms"], {}, set()
    if "per_second" in bench:
        columns.append(f"ours {bench['per_second']}")
    rows, losses, apart, raw = [], [], [], []
    for batch in map(int, (options.batches or bench["batches"]).split(",")):
        times, early = {}, {}  # times: [what was timed][program][variant]

        def record(name, variant, lines):
            raw.extend(lines)
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
            best = {name: min(variants.values(), key=statistics.median) for name, variants in case.items()}

            def cell(name):
                values = best[name]
                return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"

            row = [f"{method} {batch}".strip(), cell("ours")]
            if "per_second" in bench:
                row += [f"{1e3 / statistics.median(best['ours']):.0f}"]
            for name in programs:
                if name in best:
                    if f"{name} ms" not in columns:
                        columns += [f"{name} ms", "times faster"]
                    ratios = [theirs / ours for theirs, ours in zip(best[name], best["ours"])]
                    row += [cell(name), f"{statistics.median(ratios):.1f}"]
            rows.append(row)
            print("  ".join(row), file=sys.stderr)
        if early:
            losses.append(f"| {batch} | " + ", ".join(
                f"{name} {d:.2f} / {g:.2f}" for name, (d, g) in early.items()) + " |\n")
            apart += [f"batch {batch}, {name}: {d:.3f} / {g:.3f} and ours {early['ours'][0]:.3f} / {early['ours'][1]:.3f}"
                      for name, (d, g) in early.items()
                      if not max(abs(d - early["ours"][0]), abs(g - early["ours"][1])) <= LOSSES_AGREE_WITHIN]
    if len(described) == 1:
        print("compare.py: no peer could run here (python3 without torch and without jax?); "
              "nothing to compare", file=sys.stderr)
        return
    page = (f"# {bench['heading']}\n\nMilliseconds {bench['unit']}: same work, float32, alternating in one run; "
            + ("the best of 1 and 2 threads of each; " if cpu else "")
            + f"median of {options.rounds} rounds (least–most); ratios are medians of the rounds' ratios.\n\n"
            + "; ".join([*described.values(), processor()]) + ".\n\n"
            + "| " + " | ".join(columns) + " |\n"
            + "|" + "--:|" * len(columns) + "\n"
            + "".join("| " + " | ".join(row) + " |\n" for row in rows))
    if losses:
        page += ("\nThe same game, other random numbers: losses of D / G, mean of iterations 17 to 32; "
                 + ("they agree" if not apart else "NOT ALL AGREE") + f" within {LOSSES_AGREE_WITHIN}.\n\n"
                 "| batch | losses |\n|--:|---|\n" + "".join(losses))
    print(page)
    if options.out:
        write(options.out, page)
    if options.json:
        write(options.json, "".join(json.dumps(line) + "\n" for line in raw))
    if apart:
        sys.exit("compare.py: not the same game: losses of " + "; ".join(apart))


def write(path, text):
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".partial", path)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"compare.py: {' '.join(error.cmd)}: failed with {error.returncode}")
