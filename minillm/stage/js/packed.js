// A long recording comes as gzip in base64 (minillm/stage/payload.py) and is unpacked here.

/** The trace with its `records`. */
export async function unpacked(trace) {
  if (trace.packed === undefined) return trace;
  const { packed, ...rest } = trace;
  const text = atob(packed);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return { ...rest, records: JSON.parse(await new Response(stream).text()) };
}
