// For screen readers, name a gallery's buttons by their captions. Gradio names them "Thumbnail 1 of 6" again and again.
() => {
  const name = () => {
    for (const button of document.querySelectorAll(".strip .thumbnail-item")) {
      const caption = button.querySelector(".caption-label")?.textContent.trim();
      if (caption && button.getAttribute("aria-label") !== caption) button.setAttribute("aria-label", caption);
    }
  };
  new MutationObserver(name).observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["aria-label"],
  });
  name();
}
