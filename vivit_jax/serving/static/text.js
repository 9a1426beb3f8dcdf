// Text that may break after the marks that join words in the names of classes.

export function breakable(text) {
  const parts = document.createDocumentFragment();
  for (const part of text.split(/(?<=[_/])/)) parts.append(part, document.createElement("wbr"));
  return parts;
}
