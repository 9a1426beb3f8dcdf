// Stops and starts all clips of a page, and shows them still to people who asked their system for less motion.
"use strict";
(() => {
  const clips = [...document.querySelectorAll("video")];
  const headings = [...document.querySelectorAll(".clips-heading")].filter((heading) => heading.parentElement.querySelector("video"));
  const buttons = headings.map((heading) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "tool" });
    button.onclick = () => set(clips.every((clip) => clip.paused));
    heading.append(button);
    return button;
  });

  function set(playing) {
    for (const clip of clips) {
      if (playing) clip.play().catch(() => undefined); // refused where the browser saves power: its own controls still start it
      else clip.pause();
    }
    for (const button of buttons) button.textContent = playing ? "Pause all clips" : "Play all clips";
  }

  set(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
