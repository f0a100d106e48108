// The display check: does the image fit, and in which size.
import { canvas, scaleNow } from "./screen.js";
import { say } from "./say.js";

function settle() {
  const scale = scaleNow();
  const fits = document.getElementById("fits");
  const small = document.getElementById("small");
  small.hidden = scale > 0;
  fits.hidden = scale === 0;
  fits.textContent = say("fits", { ...canvas, scale });
  const share = (canvas.height * Math.max(1, scale)) / devicePixelRatio / innerHeight;
  document.getElementById("bar").value = Math.min(1, share);
}

addEventListener("resize", settle);
settle();
