// How large an image can be shown in whole device pixels.
const { height, width } = document.body.dataset; // of the largest image, in its own pixels

// Gives a length that style.css has, in CSS pixels: it follows from the size of the window.
const length = (name) => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(`--${name}`));

// Gives the room that the reading page has for an image, in CSS pixels.
function room() {
  const banner = document.getElementById("banner");
  const above = length("head") + (banner ? banner.offsetHeight : 0);
  return {
    width: innerWidth - 2 * length("side") - length("beside"),
    height: innerHeight - above - length("foot"),
  };
}

// Gives the whole number of device pixels to an image's pixel; 0: the window is too small.
export function scaleNow() {
  const free = room();
  const fits = Math.min(free.width / Number(width), free.height / Number(height));
  return Math.max(0, Math.floor(fits * devicePixelRatio + 1e-6));
}

export function screenNow() {
  return {
    width: innerWidth,
    height: innerHeight,
    ratio: devicePixelRatio,
    scale: scaleNow(),
    depth: screen.colorDepth,
  };
}

// Gives an element the size of so many image pixels, in whole device pixels.
export function resize(element, pixels, scale) {
  element.style.width = `${(pixels.width * scale) / devicePixelRatio}px`;
  element.style.height = `${(pixels.height * scale) / devicePixelRatio}px`;
}

export const canvas = { height: Number(height), width: Number(width) };
