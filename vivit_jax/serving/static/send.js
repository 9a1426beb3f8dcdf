// Sends a form and tells how much of it has gone, which fetch does not.

// Resolves to { ok, said }: whether the answer's status is that of success, and its JSON. `tell` is told the share that is sent, from 0 to 1.
export function send(address, form, signal, tell) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => tell(loaded / total);
    request.onload = () => resolve({ ok: request.status < 300, said: request.response });
    request.onerror = () => reject(new TypeError("the server does not answer"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.onabort = () => request.abort();
    request.send(form);
  });
}
