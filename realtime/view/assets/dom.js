// Small helpers for the page's elements.

export const byId = (id) => document.getElementById(id);

/** Make an element: `make("p", { className: "note" }, "text", otherElement)`. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Write text only where it changed: what did not change is not laid out again, nor read out. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setIcon(use, name) {
  const address = `#i-${name}`;
  if (use.getAttribute("href") !== address) use.setAttribute("href", address);
}

/** Fit a canvas's pixels to its place on the screen; returns its context and size in CSS pixels. */
export function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}
