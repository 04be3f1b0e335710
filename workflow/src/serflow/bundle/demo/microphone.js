() => {
  // Say why there is no microphone; Gradio only stays silent.
  const say = (text) => {
    document.getElementById("microphone-problem").textContent = text;
  };
  const media = navigator.mediaDevices;
  if (!media) {
    return say("There is no microphone here: browsers give it to pages of this machine (localhost) and of https only. Drop a file.");
  }
  const ask = media.getUserMedia.bind(media);
  media.getUserMedia = (what) =>
    ask(what).then(
      (stream) => {
        say("");
        return stream;
      },
      (error) => {
        say(
          error.name === "NotAllowedError"
            ? "The browser refuses this page the microphone. Allow it beside the address of the page, and record again."
            : `The microphone cannot be used: ${error.message}.`,
        );
        throw error;
      },
    );
}
