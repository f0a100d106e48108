// What scripts say, in the language of the page. The server makes messages.js of its catalogue.
import { messages } from "./messages.js";

// Gives a message; values are filled in, and n is the number that its form depends on.
export function say(key, values = {}) {
  const message = messages[key];
  const form = typeof message === "string" ? message : (values.n === 1 && message.one) || message.other;
  return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
