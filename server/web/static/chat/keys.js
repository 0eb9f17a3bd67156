// A key for a request, by which the server knows it again. Plain HTTP in a home network has no randomUUID.

/** @returns {string} 128 bits, unguessable */
export const newKey = () => crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
