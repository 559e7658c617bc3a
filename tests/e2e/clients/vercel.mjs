// Two turns with Vercel's AI SDK: the model calls a tool, gets its result, and the user goes on. What the SDK gathered of
// the first answer is sent back as it is. Prints the texts, one JSON list.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";

const { WEIR_URL: baseURL, WEIR_MODEL: model, WEIR_BODY: body, WEIR_SCHEMA: schema } = process.env;

// The SDK knows nothing of `thinking`; its users add it on the way out.
const send = (url, init) =>
  fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), ...JSON.parse(body) }) });
const provider = createOpenAICompatible({ name: "weir", baseURL, apiKey: "sk-of-the-client", fetch: send });
const weather = tool({
  description: "The weather in a city",
  inputSchema: jsonSchema(JSON.parse(schema)),
  execute: async () => "rain",
});

const messages = [{ role: "user", content: "one two three" }];
const texts = [];
for (let turn = 0; turn < 2; turn++) {
  const answer = streamText({
    model: provider(model),
    messages,
    tools: { weather },
    stopWhen: stepCountIs(4),
    maxRetries: 0,
    onError({ error }) {
      console.error(error);
      process.exit(1);
    },
  });
  texts.push(await answer.text);
  messages.push(...(await answer.response).messages, { role: "user", content: "and now?" });
}
console.log(JSON.stringify(texts));
