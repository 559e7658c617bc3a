// Reads forms as a server with busboy does (multer, Next.js, Fastify): a line of JSON each, {"type": content type,
// "body": form}, both in base64.
const busboy = require("busboy");
const readline = require("node:readline");

function read(type, body) {
  return new Promise((resolve) => {
    const seen = { values: [], files: 0 };
    const fail = (error) => resolve({ ...seen, error: String(error.message ?? error) });
    try {
      const parser = busboy({ headers: { "content-type": type } });
      parser.on("field", (name, value) => name === "model" && seen.values.push(value));
      parser.on("file", (name, file) => {
        if (name === "model") seen.files += 1;
        file.on("error", fail);
        file.resume();
      });
      parser.on("error", fail);
      parser.on("close", () => resolve(seen));
      parser.end(body);
    } catch (error) {
      fail(error);
    }
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const form = JSON.parse(line);
    const seen = await read(Buffer.from(form.type, "base64").toString("latin1"), Buffer.from(form.body, "base64"));
    process.stdout.write(JSON.stringify(seen) + "\n");
  }
}

main();
