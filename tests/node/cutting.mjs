// A network that breaks, and clients that come back at once instead of after the time that the server asks for.

// fetch, whose body ends after `frames` frames: with an error like a lost connection, or like a closed one.
export function cutting(frames, withError) {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (response.status !== 200) return response;
    return new Response(cut(response.body, frames, withError), { status: 200, headers: response.headers });
  };
}

function cut(body, frames, withError) {
  const reader = body.getReader();
  let text = ""; // a byte a character
  let left = frames;
  return new ReadableStream({
    // called when what came before has been read
    async pull(controller) {
      if (left <= 0) {
        await reader.cancel();
        return withError ? controller.error(new TypeError("the connection was lost")) : controller.close();
      }
      while (!text.includes("\n\n")) {
        const { done, value } = await reader.read(); // raises where the server broke the connection off
        if (done) return controller.close();
        text += Buffer.from(value).toString("latin1");
      }
      const end = text.indexOf("\n\n") + 2;
      const block = text.slice(0, end);
      text = text.slice(end);
      if (/^data/m.test(block)) left--;
      controller.enqueue(Buffer.from(block.replace("retry: 2000\n", "retry: 1\n"), "latin1"));
    },
    cancel: () => reader.cancel(),
  });
}
