"""What the demo submits, and what must come back: see `demo`."""

import base64
import collections
import email
import email.policy
import gzip
import io
import json
import math
import os

import numpy
import PIL.features
import sklearn.datasets
from PIL import Image, ImageChops, ImageStat

DATA = os.path.join(os.path.dirname(sklearn.datasets.__file__), "data")
IMAGES = os.path.join(os.path.dirname(sklearn.datasets.__file__), "images")
# Relative, between two ways to compute a figure in doubles.
FIGURE_TOLERANCE = 1e-12
# Mean of the absolute differences of a channel, in 256ths: what another scaling filter may change.
COLOUR_TOLERANCE = 6

OPERATIONS = {
    "count": len, "sum": lambda v: math.fsum(v), "mean": numpy.mean, "min": numpy.min, "max": numpy.max,
    "median": numpy.median, "std": numpy.std, "var": numpy.var,
}


def tables():
    """Every CSV file: its text, delimiter, whether it has a header, its columns, and what to group by."""
    def text(name):
        path = os.path.join(DATA, name)
        return (gzip.open(path, "rt") if name.endswith(".gz") else open(path)).read()

    def named(load, *more):
        return [str(name) for name in load().feature_names] + list(more)

    sets = sklearn.datasets
    diabetes = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    return [
        ("iris.csv", text("iris.csv"), ",", True, named(sets.load_iris, "target"), "target"),
        ("wine_data.csv", text("wine_data.csv"), ",", True, named(sets.load_wine, "target"), "target"),
        ("breast_cancer.csv", text("breast_cancer.csv"), ",", True, named(sets.load_breast_cancer, "target"), "target"),
        ("digits.csv", text("digits.csv.gz"), ",", False, named(sets.load_digits, "target"), "target"),
        ("diabetes_data_raw.csv", text("diabetes_data_raw.csv.gz"), " ", False, diabetes, "sex"),
        ("diabetes_target.csv", text("diabetes_target.csv.gz"), ",", False, ["progression"], None),
        ("linnerud_exercise.csv", text("linnerud_exercise.csv"), " ", True, ["Chins", "Situps", "Jumps"], None),
        ("linnerud_physiological.csv", text("linnerud_physiological.csv"), " ", True, ["Weight", "Waist", "Pulse"],
         None),
    ]


def data_jobs():
    """For every numeric column, all figures of it by group: of all rows, and of those above the column's mean. From the
    64 pixels of the digits every fourth is taken."""
    for name, text, delimiter, header, columns, group in tables():
        values = numpy.genfromtxt(io.StringIO(text), delimiter=delimiter, skip_header=int(header))
        values = values.reshape(-1, len(columns))
        chosen = [c for c in columns if c != group][:: 4 if name == "digits.csv" else 1]
        for column in chosen:
            threshold = float(numpy.mean(values[:, columns.index(column)]))
            for filtered in (False, True):
                payload = {
                    "input": {"format": "csv", "text": text, "delimiter": delimiter, "header": header,
                              "columns": columns},
                    "aggregate": [{"op": op, "column": column, "as": op} for op in OPERATIONS],
                }
                if group:
                    payload["group_by"] = [group]
                if filtered:
                    payload["filter"] = [{"column": column, "op": ">", "value": threshold}]
                yield {
                    "type": "data", "payload": payload, "values": values, "columns": columns, "group": group,
                    "column": column, "threshold": threshold if filtered else None,
                    "name": f"{name}: {column}{' above its mean' if filtered else ''}",
                }


def image_jobs():
    for photograph in ("china.jpg", "flower.jpg"):
        path = os.path.join(IMAGES, photograph)
        content = base64.b64encode(open(path, "rb").read()).decode()
        for kind in ("jpeg", "png", "webp"):
            for side in (48, 64, 96, 128, 256):
                yield {
                    "type": "image", "path": path, "side": side, "name": f"{photograph}: {side} {kind}",
                    "payload": {"operation": "thumbnail", "input": {"base64": content}, "width": side, "height": side,
                                "format": kind, **({} if kind == "png" else {"quality": 90})},
                }


def email_jobs(count):
    for number in range(count):
        yield {
            "type": "email", "name": f"email {number}",
            "payload": {
                "to": [f"Käufer {number} <buyer{number}@example.com>"], "from": "Apus <shop@example.com>",
                "subject": f"Your order {number} – thank you ✓", "text": f"Grüße, order {number} is on its way.\n",
                "html": f"<p>Grüße, order <b>{number}</b> is on its way.</p>\n",
                "attachments": [{"filename": f"order-{number}.csv", "content_type": "text/csv",
                                 "content_base64": base64.b64encode(f"order\n{number}\n".encode()).decode()}],
            },
        }


def jobs(emails):
    return [*data_jobs(), *image_jobs(), *email_jobs(emails)]


def check_data(job, figures):
    """Compares every figure; `figures` collects relative errors."""
    values, result = job["values"], job["task"]["result"]
    column = job["columns"].index(job["column"])
    kept = values if job["threshold"] is None else values[values[:, column] > job["threshold"]]
    keys = [None] if job["group"] is None else list(dict.fromkeys(kept[:, job["columns"].index(job["group"])]))
    if result["input_rows"] != len(values) or len(result["rows"]) != len(keys):
        raise ValueError(
            f"{result['input_rows']} rows in {len(result['rows'])} groups, expected {len(values)} in {len(keys)}")
    for key, row in zip(keys, result["rows"]):
        if key is not None and row[job["group"]] != key:
            raise ValueError(f"group {row[job['group']]}, expected {key}")
        of_group = kept if key is None else kept[kept[:, job["columns"].index(job["group"])] == key]
        for operation, compute in OPERATIONS.items():
            have, want = row[operation], float(compute(of_group[:, column]))
            error = abs(have - want) / (abs(want) or 1)
            figures.append(error)
            if not error <= FIGURE_TOLERANCE:
                raise ValueError(f"{operation} of group {key} is {have}, numpy says {want}")


def check_image(job, work, colours):
    """Compares size and colours; `colours` collects mean differences."""
    result = job["task"]["result"]
    image = Image.open(os.path.join(work, result["file"]))
    image.load()
    own = Image.open(job["path"])
    own.thumbnail((job["side"], job["side"]), Image.LANCZOS)
    # Both have gone through an encoder of the same kind then (libvips keeps all colours of a JPEG from quality 90 on).
    encoded = io.BytesIO()
    options = {"subsampling": 0} if image.format == "JPEG" else {}
    own.save(encoded, image.format, quality=job["payload"].get("quality", 90), **options)
    own = Image.open(encoded)
    if image.format.lower() != job["payload"]["format"] or image.size != (result["width"], result["height"]):
        raise ValueError(f"is {image.format} {image.size}, the result says {result}")
    if any(abs(a - b) > 1 for a, b in zip(image.size, own.size)):
        raise ValueError(f"has {image.size}, Pillow makes {own.size}")
    difference = ImageChops.difference(image.convert("RGB"), own.convert("RGB").resize(image.size))
    mean = max(ImageStat.Stat(difference).mean)
    colours.append(mean)
    if mean > COLOUR_TOLERANCE:
        raise ValueError(f"differs from Pillow's by {mean:.1f} of 255 in the mean")


def check_email(job, work):
    payload, result = job["payload"], job["task"]["result"]
    raw = open(os.path.join(work, result["path"]), "rb").read()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    defects = [defect for part in message.walk() for defect in part.defects]
    defects += [defect for part in message.walk() for value in part.values() for defect in value.defects]
    attachment = next(message.iter_attachments())
    content = payload["attachments"][0]
    seen = {
        "defects": (defects, []),
        "bytes": (len(raw), result["bytes"]),
        "message id": (message["message-id"], result["message_id"]),
        "to": ([str(a) for a in message["to"].addresses], payload["to"]),
        "subject": (message["subject"], payload["subject"]),
        "text": (message.get_body(("plain",)).get_content().replace("\r\n", "\n"), payload["text"]),
        "html": (message.get_body(("html",)).get_content().replace("\r\n", "\n"), payload["html"]),
        "attachment": (attachment.get_filename(), content["filename"]),
        "content": (attachment.get_payload(decode=True), base64.b64decode(content["content_base64"])),
    }
    for what, (have, want) in seen.items():
        if have != want:
            raise ValueError(f"{what} is {have!r}, expected {want!r}")


def report(jobs, cluster, options, killed_at, seconds):
    """Checks everything and prints what was found. Returns the exit status."""
    figures, colours, faults = [], [], []
    right = collections.Counter()
    for job in jobs:
        try:
            if job["task"]["status"] != "completed":
                raise ValueError(f"{job['task']['status']} {json.dumps(job['task'].get('error'))}")
            if job["type"] == "data":
                check_data(job, figures)
            elif job["type"] == "image":
                check_image(job, options.work, colours)
            else:
                check_email(job, options.work)
            right[job["type"]] += 1
        except Exception as error:  # Whatever is wrong with one result, the others are checked too.
            faults.append(f"{job['name']} ({job['id']}): {type(error).__name__}: {error}")

    tasks = [job["task"] for job in jobs]
    total = collections.Counter(job["type"] for job in jobs)
    outcomes = collections.Counter(task["status"] for task in tasks)
    print(f"\nTasks      {len(jobs)} in {seconds:.1f} s: "
          + ", ".join(f"{n} {status}" for status, n in outcomes.most_common()))
    print("Accepted   " + ", ".join(f"{n} by {node}" for node, n in sorted(
        collections.Counter(job["accepted_by"] for job in jobs).items())))
    print("Ran        " + ", ".join(f"{n} on {worker}" for worker, n in sorted(
        collections.Counter(str(task.get("worker")) for task in tasks).items()))
        + f"; {sum(task.get('stolen_by') is not None for task in tasks)} were stolen")
    print(f"Again      {sum((task.get('attempt') or 1) > 1 for task in tasks)} tasks took more than one attempt, "
          f"{sum(task.get('interruptions') or 0 for task in tasks)} interruptions, "
          f"{sum(task.get('duplicates_discarded') or 0 for task in tasks)} later outcomes were discarded")
    print(f"Requests   {cluster.refused} refused connections, {cluster.unanswered} without an answer, "
          f"{cluster.busy} asked to wait; each was tried at the next node")
    if killed_at is not None:
        victim = options.nodes[options.kill - 1]
        before = [job for job in jobs if job["accepted_at"] < killed_at]
        orphans = [job for job in before if job["accepted_by"] == victim]
        done = sum(job["task"]["status"] == "completed" for job in orphans)
        print(f"Killed     node {options.kill} ({victim}) with {len(before)} tasks accepted, "
              f"{len(orphans)} of them by that node: {done} of those are completed")
    if figures:
        print(f"Aggregates {right['data']} of {total['data']} right: {len(figures)} figures compared with numpy "
              f"{numpy.__version__}, greatest relative error {max(figures):.1e} (allowed {FIGURE_TOLERANCE:.0e})")
    if colours:
        print(f"Thumbnails {right['image']} of {total['image']} right: sizes as Pillow {PIL.__version__}, "
              f"greatest mean colour difference {max(colours):.2f} of 255 (allowed {COLOUR_TOLERANCE})")
    print(f"Emails     {right['email']} of {total['email']} right: read by Python's parser without a defect")
    for fault in faults[:20]:
        print(f"WRONG      {fault}")
    if len(faults) > 20:
        print(f"WRONG      and {len(faults) - 20} more")
    print("All is well." if not faults else f"{len(faults)} of {len(jobs)} results are missing or wrong.")
    return 1 if faults else 0
