"""Ours and its peers side by side: for every batch size each program is asked in turn, several rounds, so that
whatever else the machine does falls on all of them; the table takes the median of the rounds (least to most
in brackets), and of a program that can run in several ways (threads, layouts) the best. A way that took more
than SLOW times its program's best in the first round is not asked again. A ratio is the median of the rounds'
ratios. Both sides run the same networks: ours prints their texts, peers build them from those. Where both play
the same game with other random numbers, their early losses must agree within LOSSES_AGREE_WITHIN, or the
comparison fails. What is measured is kept beside the page until that is written, network by network and batch by
batch: the same call goes on after one that was cut. --bench says what is compared."""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile

LOSSES_AGREE_WITHIN = 0.2  # means of three games differ by a tenth, rarely more; another network by a half
SLOW = 1.4
PEERS = os.path.dirname(os.path.abspath(__file__))
BENCHES = {
    "gan": {
        "heading": "GAN iteration beside its peers", "unit": "an iteration", "ours": "iteration",
        "networks": {"": "1,10,32,64,100,256"}},
    "gan-layers": {
        "heading": "Iteration of convolutional GANs beside PyTorch", "unit": "an iteration", "ours": "iteration",
        "peer": "gan", "networks": {"tissue": "16", "light": "16,32,64", "light-32": "16", "light-64": "16",
                                    "dcgan": "16,64"}},
    "classifier": {
        "heading": "Classifier training step beside its peers", "unit": "a step", "ours": "classifier_step",
        "networks": {"": "1,64", "cnn": "64", "resnet": "64"}},
    "convolution": {
        "heading": "Convolutions beside PyTorch", "unit": "a pass", "ours": "convolutions",
        "networks": {"convolutions": "1,16,64"}},
    "translate": {
        "heading": "Iteration of pictures from pictures beside PyTorch", "unit": "an iteration",
        "ours": "translation_step",
        "networks": {"cycle": "1", "paired": "4", "super-resolution": "16", "unet": "4"},
        "ways": "cycle is CycleGAN of 32 channels, two halvings and two blocks, paired pix2pix with the small residual network, "
                "unet with the U-Net, super-resolution EDSR of 16 channels; the best of 1 and 2 threads of each, of "
                "PyTorch (fused Adam) also of both layouts of maps; "},
    "attack": {
        "heading": "Attack steps beside its peers",
        "unit": "a step (L-infinity, weights frozen, gradient by the pixels alone; of PGD in attacks of 40 steps, "
                "of FGSM in attacks of one)",
        "ours": "attack_steps", "networks": {"": "1,64", "cnn": "1,64"}},
}


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else "unknown processor"


class Ours:
    """A run of our program for every question: it starts in a moment."""

    def __init__(self, command, device, network, threads):
        self.command = [command, "--device", device, "--threads", str(threads)]
        self.command += ["--network", network] if network not in ("", "convolutions") else []

    def ask(self, batch, seconds):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lines.json")
            subprocess.run([*self.command, "--batches", str(batch), "--seconds", str(seconds), "--json", path],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
        # What a user gets who asks for nothing.
        return [line | {"program": f"patchforge {line['commit']} on {line['device']}"} for line in lines
                if line.get("way", "recorded") == "recorded"]


class Peer:
    """A peer's program, started once (peer.py)."""

    def __init__(self, command):
        self.command = command
        self.process = None

    def ask(self, batch, seconds):
        """The peer's lines, or None when it cannot run here; it says why on stderr."""
        if not self.process:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lines = []
        try:
            self.process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        while True:
            line = self.process.stdout.readline()
            if not line:
                if self.process.wait() != 77:
                    print(f"{' '.join(self.command)}: failed with {self.process.returncode}", file=sys.stderr)
                return None
            answer = json.loads(line)
            if not answer:
                return lines
            lines.append(answer)

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


class Kept:
    """What was measured so far: a line for the call, then one a network and batch size. Another call, or our program
    built anew, begins anew."""

    def __init__(self, path, call):
        self.path, self.pieces = path, {}
        call, lines = json.loads(json.dumps(call)), []
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file if line.endswith("\n")]  # the last one may be torn
        if lines[:1] == [call]:
            self.pieces = {(piece["network"], piece["batch"]): piece for piece in lines[1:]}
            print(f"compare.py: goes on with {path}, where {len(self.pieces)} are measured", file=sys.stderr)
        if path:
            write(path, "".join(json.dumps(line) + "\n" for line in [call, *self.pieces.values()]))

    def add(self, piece):
        self.pieces[piece["network"], piece["batch"]] = piece
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(piece) + "\n")

    def remove(self):
        if self.path:
            os.remove(self.path)


def ways_of(bench, network, texts, options):
    """The programs by name, each with the ways that it can run in."""
    name = bench.get("peer", options.bench)
    cpu = options.device == "cpu"
    tell = ["--device", options.device, *itertools.chain.from_iterable(("--network", text) for text in texts)]
    torch = [options.python, os.path.join(PEERS, f"{name}_pytorch.py"), *tell]
    jax = [options.python, os.path.join(PEERS, f"{name}_jax.py"), *tell]
    threads = [["--threads", n] for n in ("1", "2")] if cpu else [[]]
    layouts = [[], ["--channels-last"]] if network else [[]]
    adam = [[], ["--fused"]] if name in ("gan", "classifier") and cpu else [[]]
    ways = {"PyTorch eager": [torch + t + l + a for t in threads for l in layouts for a in adam],
            "PyTorch compiled": [torch + ["--compiled"] + t + l for t in threads for l in layouts]}
    if not network:
        ways["JAX jit"] = [jax + t for t in threads]
    return {program: [Peer(command) for command in commands] for program, commands in ways.items()
            if program != options.leave_out}


def compare(bench, network, batches, options):
    """Of each batch size its rows of the table, and of the losses; what does not agree; ratios by the kind that ours
    gives; every round of every program, and what each says that it is."""
    cpu = options.device == "cpu"
    command = os.path.join(options.ours, bench["ours"])
    ours = [Ours(command, options.device, network, threads) for threads in ((1, 2) if cpu else (0,))]
    texts = ours[-1].ask(batches[0], 0.01)[0]["network"]
    programs = {"ours": ours, **ways_of(bench, network, texts, options)}
    absent = set()
    for batch in batches:
        rows, losses, apart, kinds, raw, described = [], [], [], {}, [], {}
        times, early, dropped = {}, {}, set()  # times: [method][program][way]
        told = {}  # what ours says of a method beside its time: [method][way]
        for round_number in range(options.rounds):
            for program, ways in programs.items():
                for way, asked in enumerate(ways):
                    if (program, way) in absent | dropped:
                        continue
                    lines = asked.ask(batch, options.seconds)
                    if lines is None:
                        absent.add((program, way))
                        continue
                    for line in lines:
                        raw.append(line | {"way": way, "as": program, "of": network or "mlp"})
                        case = times.setdefault(line.get("method", ""), {})
                        case.setdefault(program, {}).setdefault(way, []).append(line["ms"])
                        if program == "ours":
                            told.setdefault(line.get("method", ""), {})[way] = line
                        if "losses" in line:
                            early[program] = line["losses"]
                        described[program] = line["program"]
            if round_number == 0:
                for program, ways in programs.items():
                    dropped |= {(program, way) for way in range(len(ways))
                                if all(way in case.get(program, {}) and
                                       case[program][way][0] > SLOW * min(v[0] for v in case[program].values())
                                       for case in times.values())}
        for method, case in times.items():
            full = {program: {w: v for w, v in ways.items() if len(v) == options.rounds}
                    for program, ways in case.items()}
            best = {program: min(ways.values(), key=statistics.median) for program, ways in full.items() if ways}
            row = {"batch": f"{network} {method} {batch}".strip().removeprefix("convolutions ")}
            for program, values in best.items():
                row[program] = f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"
            ours_says = told[method][min(full["ours"], key=lambda way: statistics.median(full["ours"][way]))]
            ratios = {program: statistics.median(t / o for t, o in zip(values, best["ours"]))
                      for program, values in best.items() if program != "ours"}
            for program, ratio in ratios.items():
                row[program] += f", **{ratio:.2f}x**"
            if ratios:
                row["best peer over ours"] = f"{min(ratios.values()):.2f}"
                if "kind" in ours_says:
                    kinds.setdefault(f"{ours_says['kind']}, batch {batch}", []).append(min(ratios.values()))
            if ours_says.get("share of peak"):
                row["share of peak"] = f"{100 * ours_says['share of peak']:.0f}%"
            for floor in ("bytes", "operations"):
                if ours_says.get(f"floor_{floor}_ms"):
                    row[f"floor: {floor}"] = f"{ours_says[f'floor_{floor}_ms']:.3f}"
            rows.append(row)
            print("  ".join(row.values()), file=sys.stderr)
        if early:
            losses.append(f"| {network} {batch} | " + ", ".join(
                f"{name} {d:.2f} / {g:.2f}" for name, (d, g) in early.items()) + " |\n")
            apart += [f"{network} batch {batch}, {name}: {d:.3f} / {g:.3f} and ours {early['ours'][0]:.3f} / "
                      f"{early['ours'][1]:.3f}" for name, (d, g) in early.items()
                      if not max(abs(ours - theirs) / max(1, abs(ours)) for ours, theirs in zip(early["ours"], (d, g)))
                      <= LOSSES_AGREE_WITHIN]
        yield {"network": network, "batch": batch, "rows": rows, "losses": losses, "apart": apart, "kinds": kinds,
               "raw": raw, "described": described}
    for ways in programs.values():
        for way in ways:
            if isinstance(way, Peer):
                way.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", default="gan", choices=BENCHES)
    parser.add_argument("--ours", required=True, help="the folder of our benchmarks")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", help="instead of the bench's own")
    parser.add_argument("--networks", help="of the bench's, these alone")
    parser.add_argument("--leave-out", default="", choices=["PyTorch eager", "PyTorch compiled", "JAX jit"],
                        help="a program by its column")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out")
    parser.add_argument("--json", help="every round of every program, as JSON lines")
    options = parser.parse_args()

    bench = BENCHES[options.bench]
    built = os.stat(os.path.join(options.ours, bench["ours"])).st_mtime_ns
    written = options.out or options.json
    kept = Kept(written and written + ".kept", [vars(options), built, processor()])
    for network, batches in bench["networks"].items():
        if options.networks is not None and (network or "mlp") not in options.networks.split(","):
            continue
        asked = [int(n) for n in (options.batches or batches).split(",")]
        missing = [batch for batch in asked if (network, batch) not in kept.pieces]
        for piece in compare(bench, network, missing, options) if missing else ():
            kept.add(piece)
    pieces = list(kept.pieces.values())
    rows, losses, apart, raw = ([one for piece in pieces for one in piece[what]]
                                for what in ("rows", "losses", "apart", "raw"))
    described = {text: program for piece in pieces for program, text in piece["described"].items()}
    kinds = {}
    for kind, ratios in (item for piece in pieces for item in piece["kinds"].items()):
        kinds.setdefault(kind, []).extend(ratios)
    if set(described.values()) == {"ours"}:
        kept.remove()
        print("compare.py: no peer could run here (make peers installs them); nothing to compare", file=sys.stderr)
        return
    columns = ["batch"] + [name for name in ("ours", "PyTorch eager", "PyTorch compiled", "JAX jit")
                           if any(name in row for row in rows)] + [
        name for name in ("best peer over ours", "share of peak", "floor: bytes", "floor: operations")
        if any(name in row for row in rows)]
    page = (f"# {bench['heading']}\n\nMilliseconds {bench['unit']}: same work, float32, alternating in one run; "
            + (bench.get("ways", "the best of 1 and 2 threads of each, of PyTorch also of both layouts of maps and of plain "
                         "and fused Adam (compiled: fused); JAX donates its buffers; ") if options.device == "cpu" else "")
            + f"median of {options.rounds} rounds (least–most), **times that ours takes**: medians of the rounds' "
            "ratios." + (" Floors: what the bytes, or the operations, of an iteration of ours take at least at what this "
                         "machine reached in the same run." if "floor: bytes" in columns else "")
            + (f" {options.leave_out} was left out." if options.leave_out else "") + "\n\n"
            + "; ".join(dict.fromkeys([*described, processor()])) + ".\n\n"
            + "| " + " | ".join(columns) + " |\n|" + "--:|" * len(columns) + "\n"
            + "".join("| " + " | ".join(row.get(column, "–") for column in columns) + " |\n" for row in rows))
    if kinds:
        page += "\n| kind | best peer over ours, geometric mean | worst |\n|---|--:|--:|\n" + "".join(
            f"| {kind} | {statistics.geometric_mean(ratios):.2f} | {min(ratios):.2f} |\n"
            for kind, ratios in sorted(kinds.items()))
    if losses:
        page += ("\nThe same game, other random numbers: losses of D / G, mean of iterations 17 to 32 of three games; "
                 + ("they agree" if not apart else "NOT ALL AGREE") + f" within {LOSSES_AGREE_WITHIN} (of losses above 1, of themselves).\n\n"
                 "| batch | losses |\n|--:|---|\n" + "".join(losses))
    print(page)
    if options.out:
        write(options.out, page)
    if options.json:
        write(options.json, "".join(json.dumps(line) + "\n" for line in raw))
    kept.remove()
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
        sys.exit(f"compare.py: {' '.join(error.cmd)}: failed with {error.returncode}; the same call goes on")
    except KeyboardInterrupt:
        sys.exit("compare.py: interrupted; the same call goes on")
