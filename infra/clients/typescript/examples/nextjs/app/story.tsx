"use client";

import { useState } from "react";
import { useCredits } from "scrip-client/react";

/** Shows a story while it is written, then the credits that it cost. */
export function Story() {
  const { refresh } = useCredits();
  const [text, setText] = useState("");

  async function write() {
    setText("");
    const response = await fetch("/api/story", { method: "POST" });
    if (!response.ok) return setText(await response.text());
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const words = read.value;
      setText((text) => text + words);
    }
    refresh();
  }

  return (
    <section>
      <button onClick={write}>Write a story</button>
      <p>{text}</p>
    </section>
  );
}
