// A few seconds from the camera, as a file.

const SECONDS = 4;

export const available = () => Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

// Shows the camera's picture in `screen` and records it; `tell` is told how many seconds are left.
export async function record(screen, tell) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  try {
    screen.srcObject = stream;
    await screen.play();
    const kind = ["video/webm", "video/mp4"].find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    for (let left = SECONDS; left > 0; left--) {
      tell(left);
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
    recorder.stop();
    await stopped;
    const type = recorder.mimeType.split(";")[0];
    return new File(parts, type === "video/mp4" ? "camera.mp4" : "camera.webm", { type });
  } finally {
    screen.srcObject = null;
    stream.getTracks().forEach((track) => track.stop());
  }
}
