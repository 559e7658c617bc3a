"""Forms with a model, as clients send them and as somebody sends them who wants the gateway to see another model than
the server: all from the seed of a random number generator."""

BOUNDARIES = ["XX", "----WebKitFormBoundaryAbC123", "a'b(c)d+e_f,g-h./:=?i", "a b", "--", "-", "X" * 70, "XX--"]

# What hides or doubles the model for some reader. Each of these must be refused; {} is where the rest of a whole form is.
HOSTILE_TYPES = [
    "multipart/form-data; boundary=XX; boundary*=UTF-8''YY",
    "multipart/form-data; boundary*=UTF-8''YY; boundary=XX",
    "multipart/form-data; boundary*0=Y; boundary*1=Y; boundary=XX",
    "multipart/form-data; boundary=XX; boundary*0=YY",
    "multipart/form-data; boundary=XX; boundary*0*=YY",
    "multipart/form-data; boundary=XX; Boundary*=UTF-8''YY",
    "multipart/form-data; boundary=XX; x*=UTF-8''YY",
    "multipart/form-data; boundary=XX; boundary=YY",
    "multipart/form-data; boundary=XX; BOUNDARY=YY",
    "multipart/form-data; boundary=XX, multipart/form-data; boundary=YY",
    "multipart/form-data; boundary=XX, YY",
    "multipart/form-data; boundary=XX;; boundary=YY",
    "multipart/form-data; boundary =YY; boundary=XX",
    "multipart/form-data; boundary= YY; boundary=XX",
    'multipart/form-data; x="\\\\"; boundary=YY; y="; boundary=XX; z="',
    "multipart/form-data; boundary=XX; charset=utf-16",
    "multipart/form-data; boundary=<XX>",
    "multipart/form-data; boundary",
    "multipart/mixed; boundary=XX",
    "application/x-www-form-urlencoded",
]

# The head of the part with the model, `good`, beside which stands a part `x` of value `evil`, and one with its name as
# here: some reader finds the model `evil`, two, or none.
HOSTILE_DISPOSITIONS = [
    "form-data; name*=UTF-8''model",
    "form-data; name=x; name*=UTF-8''model",
    "form-data; name=x; name*0=model",
    "form-data; name=x; name*0=mod; name*1=el",
    "form-data; name=x; name*0*=UTF-8''mod; name*1*=el",
    "form-data; name=x; NAME*=UTF-8''model",
    "form-data; name=model; name=x",
    "form-data; name=x; name=model",
    "form-data; name=x; Name=model",
    'form-data; name="mod\\el"',
    'form-data; name="mod%65l"',
    'form-data; name="=?utf-8?q?model?="',
    "form-data; name=<model>",
    "form-data; name='model",
    'form-data; name="model ";',
    'form-data; name=" model"',
    "form-data; name =model",
    "form-data; name= model",
    "form-data; name=model;; x=y",
    'form-data; filename="a\\\\"; name=model; x="',
    'form-data; filename="a\\\\"; x="; name=model; y="',
    'form-data; name="model\x00"',
    'form-data; name="model\t"',
    'form-data; name="model[]"',
    'form-data; name="model[0]"',
    'form-data; name="Model"',
    'form-data; name="mod\u0435l"',
    "form-data; name=mod(el",
    "form-data; name=model\r\nContent-Disposition: form-data; name=x",
    "form-data; name=x\r\nContent-Disposition: form-data; name=model",
    "form-data;\r\n name=model",
    "form-data; name=x;\r\n\tname=model",
    "form-data; name=x\r\nContent-Disposition : form-data; name=model",
    "form-data; name=x\r\n Content-Disposition: form-data; name=model",
    "form-data; name=x\nContent-Disposition: form-data; name=model",
    "attachment; name=model",
    "form-data",
]

# What stands behind `Content-Disposition: form-data; name="model"` in the one part with a model.
HOSTILE_HEADERS = [
    "; filename=a.txt",
    '; filename=""',
    "; filename*=UTF-8''a.txt",
    "\r\nContent-Type: application/octet-stream",
    "\r\nContent-Type: text/plain; charset=utf-16",
    "\r\nContent-Type: text/plain; charset*=utf-16",
    "\r\nContent-Type: text/plain; charset=utf-7",
    "\r\nContent-Type: multipart/mixed; boundary=YY",
    "\r\nContent-Type: text/plain\r\nContent-Type: application/octet-stream",
    "\r\nContent-Transfer-Encoding: base64",
    "\r\nContent-Transfer-Encoding: quoted-printable",
    "\r\nContent-Transfer-Encoding: x-own",
    "\r\nX: a\x00b",
    "\r\nX-No-Colon",
    "\r\nX: " + "y" * 20_000,
]


def part(disposition, value):
    head = f"Content-Disposition: {disposition}".encode()
    return head + b"\r\n\r\n" + (value if isinstance(value, bytes) else value.encode())


MODEL = part('form-data; name="model"', "good")
FILE = part('form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF\x00\x01\xff\r\n\r\n--X\r\n")


def form(parts, boundary="XX"):
    delimiter = b"--" + boundary.encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def hostile():
    """Forms that must be refused, each with a word on what it is."""
    plain = "multipart/form-data; boundary=XX"
    for kind in HOSTILE_TYPES:
        both = form([MODEL, FILE]) + b"\r\n" + form([part("form-data; name=model", "evil"), FILE], "YY")
        yield kind, kind, both
        yield kind, kind, form([MODEL, FILE, part("form-data; name=x", b"\r\n" + form([MODEL], "YY"))])
    for disposition in HOSTILE_DISPOSITIONS:
        yield disposition, plain, form([MODEL, FILE, part(disposition, "evil")])
        yield disposition, plain, form([part(disposition, "evil"), MODEL, FILE])
    for headers in HOSTILE_HEADERS:
        yield headers[:60], plain, form([part(f'form-data; name="model"{headers}', "good"), FILE])
    yield "two models", plain, form([MODEL, part("form-data; name=model", "evil"), FILE])
    yield "_charset_", plain, form([part("form-data; name=_charset_", "utf-16"), MODEL, FILE])
    yield "a model with a NUL", plain, form([part("form-data; name=model", "good\0"), FILE])
    yield "a model with spaces", plain, form([part("form-data; name=model", " good\r\n"), FILE])
    whole = form([MODEL, FILE])
    evil = part("form-data; name=model", "evil")
    for word, body in [
        ("line ends of LF", whole.replace(b"\r\n", b"\n")),
        ("line ends of CR", whole.replace(b"\r\n", b"\r")),
        ("the end, then more", form([MODEL, FILE]) + form([evil])),
        ("an end within", whole.replace(b"RIFF", b"\r\n--XX--\r\n--XX\r\n" + evil)),
        ("a boundary after LF", whole.replace(b"RIFF", b"\n--XX\r\n" + evil)),
        ("a boundary after CR", whole.replace(b"RIFF", b"\r--XX\r\n" + evil)),
        ("a boundary that ends with LF", whole.replace(b"RIFF", b"\r\n--XX\n" + evil)),
        ("a boundary with spaces", whole.replace(b"RIFF", b"\r\n--XX \t\r\n" + evil)),
        ("a boundary that goes on", whole.replace(b"RIFF", b"\r\n--XXX\r\n" + evil)),
        ("an end that goes on", whole.replace(b"RIFF", b"\r\n--XX--X\r\n" + evil)),
        ("no end", whole[: -len(b"--\r\n")]),
        ("a preamble that is a form", b"--XX\n" + evil + b"\n" + whole),
        ("an epilogue that is a form", whole + b"\n--XX\n" + evil + b"\n--XX--\n"),
        ("nothing", b""),
    ]:
        yield word, plain, body


def generated(random):
    """A content type and a form: plain, odd but sound, or broken in some way."""
    boundary = random.choice(BOUNDARIES)
    quoted = random.random() < 0.5 or any(byte in boundary for byte in " ()/:=?,")
    kind = f'multipart/form-data; boundary="{boundary}"' if quoted else f"multipart/form-data; boundary={boundary}"
    if random.random() < 0.3:
        kind = random.choice(
            [
                kind.replace("; ", ";"),
                kind.replace("; ", " ; "),
                kind.replace("boundary", "Boundary"),
                kind.replace("multipart/form-data", "Multipart/Form-Data"),
                kind + ";",
                kind + "; charset=utf-8",
                kind + ' ; x="a;b=\\"c"',
                kind.replace("; ", "; charset=UTF-8; "),
                kind + "; boundary*=UTF-8''YY",
            ]
        )
    parts = [model(random) for _ in range(random.choice([1, 1, 1, 1, 1, 2]))]
    parts += [FILE] * (random.random() < 0.97)
    parts += [other(random, boundary) for _ in range(random.randrange(4))]
    random.shuffle(parts)
    body = form(parts, boundary)
    if random.random() < 0.15:
        body = random.choice([b"\r\n", b"preamble\r\n", b"text --" + boundary.encode() + b"\r\n"]) + body
    if random.random() < 0.15:
        body = random.choice([body[:-2], body + b"epilogue", body + b"\r\n--" + boundary.encode()[:-1], body + b"\0"])
    if random.random() < 0.4:
        body = mutated(random, body, boundary)
    return kind, body


def model(random):
    values = ["whisper-1", "a", "gr\u00fc\u00df-1", "x" * 200, "a/b:c"]
    value = random.choice(values if random.random() < 0.9 else ["", " a", "a\n", "a\r\n--X", "a\0"])
    head = random.choice(
        [
            'form-data; name="model"',
            "form-data; name=model",
            "form-data;name=model",
            'Form-Data; Name="model"',
            'form-data ; name="model"',
            'form-data; x=y; name="model"',
            'form-data; name="model" ; x="a;name=b"',
            'form-data; x="name=\\"b\\""; name="model"',
            'form-data; name="model"\r\nX-Odd: \u00e9\tb',
            'form-data; name="model"\r\nContent-Type: text/plain; charset=UTF-8',
            'form-data; name="model"\r\nContent-Type: text/plain;charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit',
        ]
    )
    if random.random() < 0.1:
        head = 'form-data; name="model"' + random.choice(HOSTILE_HEADERS)
    return part(head, value)


def other(random, boundary):
    if random.random() < 0.2:
        return part(random.choice(HOSTILE_DISPOSITIONS), "evil")
    name = random.choice(["prompt", "language", "timestamp_granularities[]", "temperature", "models", "mode", "m"])
    filename = random.choice(
        ["", "", '; filename="a \\"b\\";c.wav"', "; filename=a", '; filename="C:\\a\\b.wav"', '; filename="\u00e4.wav"']
        + ['; filename="a\\\\b.wav"', '; filename="x; name=model"', '; filename="\\"; name=model; x=\\""']
    )
    value = random.choice(
        ["", "text", "--", f"x--{boundary}", f" --{boundary}", "\r\n--", "\r\n\r\n", "\n", "\r", f"-{boundary}", "\0"]
    )
    return part(f'form-data; name="{name}"{filename}', value)


def mutated(random, body, boundary):
    """One to three bytes or words more or fewer, where structure is."""
    words = [b"\r", b"\n", b"\r\n", b"-", b"--", b" ", b"\t", b";", b"=", b'"', b"\\", b"*", b":", b"\0", b"%", b"\xff"]
    words += [b"--" + boundary.encode(), b"\r\n--" + boundary.encode(), b"name=model", b"model", b"; name=model"]
    for _ in range(random.randrange(1, 4)):
        places = [at for at, byte in enumerate(body) if byte in b'\r\n-;=":M'] or [0]
        at = random.choice(places) + random.randrange(2)
        if random.random() < 0.5:
            body = body[:at] + random.choice(words) + body[at:]
        else:
            body = body[:at] + body[at + random.randrange(1, 3) :]
    return body
