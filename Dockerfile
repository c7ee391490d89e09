# The app as a read-only server, as a Space of Hugging Face runs it: docs/hosting.md.
#   docker build --build-arg SOURCE=digits -t kernel-explorer .
#   docker run -p 7860:7860 kernel-explorer

# torch is only needed to build the results; the second stage has none.
FROM python:3.11-slim AS built
ARG SOURCE=digits
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE app.py server.py ./
COPY .streamlit .streamlit
COPY pages pages
COPY kernel_core kernel_core
RUN python -c "import tomllib; needed = tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']; \
print(*(name for name in needed if not name.startswith('torch')), sep='\n')" > requirements.txt
RUN pip install --no-cache-dir --constraint constraints.txt hatchling -r requirements.txt \
    && pip install --no-cache-dir --no-deps --no-build-isolation --target /package .
# Of equal versions, pip takes the one for the CPU alone, which is a tenth as large.
RUN pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu torch torchvision
COPY dat[a] /data
ENV KERNEL_EXPLORER_CACHE=/cache PYTHONPATH=/package
# Groups need the neighbors within each split. Not every source can have a map.
RUN python -m kernel_core build "$SOURCE" --device cpu \
    && python -m kernel_core groups "$SOURCE" --device cpu \
    && (python -m kernel_core map "$SOURCE" --device cpu || true)

FROM python:3.11-slim
ARG SOURCE=digits
RUN useradd --create-home --uid 1000 user
COPY --from=built /app/requirements.txt /app/constraints.txt /app/
RUN pip install --no-cache-dir --constraint /app/constraints.txt -r /app/requirements.txt
COPY --from=built /package /package
COPY --from=built /cache /cache
COPY dat[a] /data
USER user
WORKDIR /home/user
ENV SOURCE=$SOURCE PYTHONPATH=/package PYTHONUNBUFFERED=1 KERNEL_EXPLORER_CACHE=/cache \
    MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
EXPOSE 7860
# SPACE_HOST is the name that a Space is reached under.
CMD ["sh", "-c", "exec python -m kernel_core serve \"$SOURCE\" --read-only --host 0.0.0.0 --port 7860 \
--framed-by https://huggingface.co ${SPACE_HOST:+--allow \"$SPACE_HOST\"}"]
